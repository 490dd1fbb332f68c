"""Resolve the lock files, or check that they still fit pyproject.toml.

``requirements.lock`` holds what hearth needs to run and to demonstrate itself, ``requirements-dev.lock`` everything
but the extra ``pilot`` (torch comes in a build for each machine and cannot be locked for all). Both hold for Python
3.11 to 3.13 on Linux and macOS, with the digest of every file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"requirements.lock": ("demo",), "requirements-dev.lock": ("demo", "languages", "dev")}
"""Each lock file and the extras that it holds."""


def main() -> int:
    """Resolve, or with ``--check`` only compare; 1 if a lock file is stale."""
    if sys.argv[1:] == ["--check"]:
        problems = [problem for name in LOCKS for problem in find_problems(ROOT, name)]
        for problem in problems:
            print(f"{problem} · run: make lock", file=sys.stderr)
        return 1 if problems else 0
    for name, extras in LOCKS.items():
        _resolve(name, extras)
    return 0


def find_problems(root: Path, name: str) -> list[str]:
    """What is wrong with the lock file ``name`` below ``root``, one line each; empty if nothing is."""
    text = (root / name).read_text(encoding="utf-8")
    pinned: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE):
        pinned.setdefault(canonicalize_name(package), set()).add(version)
    problems = [f"{name} names a host in line {text.count(chr(10), 0, text.index('://')) + 1}"] if "://" in text else []
    for requirement in _wanted(root, LOCKS[name]):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        if not versions:
            problems.append(f"{name} lacks {requirement.name}")
        problems += [
            f"{name} has {requirement.name} {version}, pyproject.toml wants {requirement.specifier}"
            for version in sorted(versions)
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    return problems


def _wanted(root: Path, extras: tuple[str, ...]) -> list[Requirement]:
    tree = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    texts = [*tree["project"]["dependencies"], *tree["dependency-groups"]["build"]]
    for extra in extras:
        texts += tree["project"]["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def _resolve(name: str, extras: tuple[str, ...]) -> None:
    command = ["uv", "pip", "compile", "pyproject.toml", "--group", "build", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--quiet"]
    command += ["--upgrade"] if "--upgrade" in sys.argv else []
    if name != "requirements.lock":
        command += ["--constraint", "requirements.lock"]
    for extra in extras:
        command += ["--extra", extra]
    subprocess.run([*command, "--output-file", name], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
