"""What .gitignore leaves out: as git itself sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.workspace.files import Workspace
from hearth.workspace.repomap.ignored import Ignored

PATHS = (
    "a",
    "a.log",
    "build/x.py",
    "build/keep/y.py",
    "src/build/z.py",
    "src/a.log",
    "src/b/c/d.txt",
    "x y",
    "#z",
    "é.c",
)
RULES = [
    *("*.log", "/a", "a", "build/", "build", "/build/", "src/build", "**/build", "src/**", "src/**/d.txt", "**/c/*"),
    *("!a.log", "!build/keep", "!src/a.log", "*", "!*/", "!*.py", "# no", "\\#z", "x y", "x\\ y", "a ", "?", "[a-c]"),
    *("[!a]", "s*c", "src/*/c", "**", "/**/d.txt", "é.c", "b/c", "/", "", "!", "[", "a/**/b", "***", "*/a.log"),
]


def make(root: Path, rules: str, inner: str) -> Workspace:
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / ".gitignore").write_text(rules)
    (root / "src" / ".gitignore").write_text(inner)
    return Workspace(root)


def ask_git(root: Path) -> set[str]:
    environment = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "-q"], cwd=root, check=True, env=environment)
    command = ["git", "check-ignore", "--stdin", "--no-index", "-z"]
    asked = "\0".join(PATHS) + "\0"
    done = subprocess.run(command, cwd=root, input=asked, capture_output=True, text=True, env=environment)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.split("\0")) - {""}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_means_what_git_says(tmp_path: Path, rule: str) -> None:
    ignored = Ignored(make(tmp_path, f"{rule}\n", ""))
    assert {path for path in PATHS if ignored.has(path)} == ask_git(tmp_path)


@pytest.mark.slow
@given(
    rules=st.lists(st.sampled_from(RULES), max_size=5).map("\n".join),
    inner=st.lists(st.sampled_from(RULES), max_size=3).map("\r\n".join),
)
@settings(max_examples=150, deadline=None)
def test_rules_together_mean_what_git_says(tmp_path_factory: pytest.TempPathFactory, rules: str, inner: str) -> None:
    root = tmp_path_factory.mktemp("rules")
    ignored = Ignored(make(root, rules, inner))
    assert {path for path in PATHS if ignored.has(path)} == ask_git(root)


@given(text=st.text(max_size=100))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("text")
    (root / ".gitignore").write_bytes(text.encode("utf-8", "replace"))
    ignored = Ignored(Workspace(root))
    for path in PATHS:
        ignored.has(path)
