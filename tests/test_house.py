"""The rules of the house: what docs/architecture.md and AGENTS.md ask of the code, held by a machine, no exemptions.

The layers are contracts of import-linter in pyproject.toml; here is what those cannot say.
"""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "hearth"
sys.path.insert(0, str(ROOT / "scripts"))
import lock  # noqa: E402  # a script is no package: its folder must be on the path first

LOOP_LINES = 200
FILE_LINES = 400
FUNCTION_LINES = 60
AGENTS_LINES = 120

PLACES = {
    "aiohttp": ("gateway/*", "runtime/*"),
    "gguf": ("pilot/*",),
    "huggingface_hub": ("weights/fetch/hub.py",),
    "numpy": ("pilot/*",),
    "pynvml": ("weights/hardware/nvidia.py",),
    "regex": ("tools/grep.py",),
    "rich": ("cli/live.py",),
    "starlette": (),
    "tokenizers": ("pilot/*",),
    "torch": ("pilot/*",),
    "tree_sitter": ("workspace/syntax/*",),
    "truststore": ("weights/fetch/wire.py",),
    "uvicorn": ("gateway/*",),
    "xllamacpp": ("runtime/llama/worker.py", "runtime/llama/probe_worker.py", "runtime/builds/look_worker.py"),
    "subprocess": (
        "ops/*",
        "pilot/evaluate.py",
        "runtime/llama/leash.py",
        "runtime/process.py",
        "sandbox/*",
        "weights/hardware/system_text.py",
        "workspace/snapshots/git.py",
        "workspace/syntax/reader.py",
    ),
}
"""Where a library may be imported at all. A library that is not listed may be imported everywhere."""

LATE_IMPORTS = {
    # The command's own file: `hearth --version` and `--help` load none.
    ("cli/main.py", "hearth.cli.*"),
    # The verb's own file.
    ("cli/bench/__init__.py", "hearth.cli.bench.*"),
    # Each verb of `hearth models` loads what it needs; `hearth run` only when its model is not the pilot, or not here.
    ("cli/models/__init__.py", "hearth.cli.models.*"),
    ("cli/models/advice.py", "hearth.cli.models.ranking"),
    # Only who has other engines pays for what asks them.
    ("cli/models/elsewhere.py", "hearth.runtime.engines"),
    ("cli/models/elsewhere.py", "hearth.runtime.foreign.models"),
    ("cli/run.py", "hearth.cli.models.offer"),
    ("cli/run.py", "hearth.weights.store"),
    # Only a terminal is drawn on.
    ("cli/run.py", "hearth.cli.live"),
    # Only where there is one.
    ("cli/serve.py", "uvloop"),
    # The extra that only training needs.
    ("pilot/data.py", "pytest"),
    # Only what is fetched from the hub pays for its library, and for the system's certificates.
    ("weights/fetch/hub.py", "huggingface_hub"),
    ("weights/fetch/hub.py", "huggingface_hub.utils"),
    ("weights/fetch/wire.py", "truststore"),
    # Only where there is such a card.
    ("weights/hardware/nvidia.py", "pynvml"),
    # A session edits in one form.
    ("agent/equipment.py", "hearth.tools.apply_patch"),
    ("agent/equipment.py", "hearth.tools.hashline"),
    ("agent/equipment.py", "hearth.tools.multi_edit"),
    ("agent/equipment.py", "hearth.tools.replace_lines"),
    ("agent/equipment.py", "hearth.tools.replace_symbol"),
    ("agent/equipment.py", "hearth.tools.search_replace"),
    # A session speaks one dialect.
    ("agent/minds.py", "hearth.llm.dialects.harmony.client"),
    ("agent/minds.py", "hearth.llm.dialects.harmony.form"),
    ("agent/minds.py", "hearth.llm.dialects.text.model"),
    # Some hundred expressions, in the way of the first request; an answer that is words alone needs none of them.
    ("llm/repaired.py", "hearth.llm.repair.judge"),
    # A grammar is loaded when a file of its language is first read, if it is installed at all.
    ("workspace/syntax/languages.py", "tree_sitter"),
    ("workspace/syntax/languages.py", "tree_sitter_*"),
    # Only what is too long is looked through for what counts.
    ("tools/outputs.py", "hearth.tools.focus"),
    # A session that does not search does not pay for it.
    ("tools/grep.py", "regex"),
}
"""Imports inside functions: only for what is slow to load, or may be missing."""

CONCRETE = {
    # Engines: runtime/engines.py alone decides which is used; what is measured is the one in the package.
    "hearth.runtime.llama.embedded": ("runtime/engines.py", "cli/bench/speed.py"),
    "hearth.runtime.llama.server": ("runtime/engines.py",),
    "hearth.runtime.foreign.ollama": ("runtime/engines.py",),
    "hearth.runtime.foreign.openai_server": ("runtime/engines.py",),
    "hearth.runtime.pretend*": ("runtime/pretend/*",),
    # Tools: agent/equipment.py alone decides which there are. The pilot is trained on their very output.
    **{
        f"hearth.tools.{name}": ("agent/equipment.py", "tools/*", "pilot/*")
        for name in (
            "apply_patch",
            "bash",
            "edit",
            "glob",
            "grep",
            "hashline",
            "kill",
            "multi_edit",
            "output",
            "read",
            "replace_lines",
            "replace_symbol",
            "search_replace",
            "todo",
            "write",
        )
    },
}

HEAVY = {"aiohttp", "argparse", "asyncio", "hearth.settings", "msgspec", "rich", "uvicorn", "xllamacpp"}


@dataclass(frozen=True)
class Import:
    """One import: in which file, of what, whether inside a function."""

    file: str
    module: str
    late: bool


@cache
def source_files() -> tuple[Path, ...]:
    return tuple(sorted(SRC.rglob("*.py")))


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(file: Path) -> str:
    return file.relative_to(SRC).as_posix()


def visit_imports(node: ast.AST, file: str, late: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            for name in names:
                yield Import(file, name.name, late)
        case ast.ImportFrom(module=module, names=names, level=level):
            assert level == 0, f"{file}: relative imports hide where things live"
            for name in names:
                inner = SRC.parent / f"{module}.{name.name}".replace(".", "/")
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield Import(file, f"{module}.{name.name}" if is_module else str(module), late)
        case ast.Call(func=ast.Name(id="import_module"), args=[argument]):
            yield Import(file, re.sub(r"\{.*\}", "*", ast.unparse(argument)).strip("f'\""), late)
    inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from visit_imports(child, file, inside)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file in source_files() for found in visit_imports(tree_of(file), name_of(file), False))


def fits(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(file, pattern) for pattern in patterns)


def test_the_import_contracts_hold() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert "exclude_type_checking_imports" not in contracts
    assert not any("ignore_imports" in contract for contract in contracts["contracts"])
    # In a process of its own: it turns off all loggers that it finds.
    command = [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"]
    subprocess.run(command, check=True, cwd=ROOT)


def test_every_package_is_in_a_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = {name for contract in contracts for layer in contract.get("layers", ()) for name in layer.split(" | ")}
    packages = {f"hearth.{file.parent.name}" for file in SRC.glob("*/__init__.py")}
    assert packages <= layered


def test_libraries_are_imported_only_in_their_places() -> None:
    wrong = [
        f"{found.file} imports {found.module}"
        for found in imports()
        if (places := PLACES.get(found.module.split(".")[0])) is not None and not fits(found.file, places)
    ]
    assert not wrong


def test_processes_are_started_only_in_their_places() -> None:
    starters = re.compile(r"create_subprocess_(exec|shell)|os\.(fork|posix_spawn|system|popen|exec)")
    wrong = [
        name_of(file)
        for file in source_files()
        if starters.search(strip_comments(file)) and not fits(name_of(file), (*PLACES["subprocess"], "pilot/data.py"))
    ]
    assert not wrong


def strip_comments(file: Path) -> str:
    kept = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    return "".join(token.string for token in tokens if token.type not in kept)


def test_imports_inside_functions_are_those_that_are_listed() -> None:
    late = {(found.file, found.module) for found in imports() if found.late}
    assert late == LATE_IMPORTS


def test_ground_files_import_nothing_of_ours() -> None:
    ours = {
        (found.file, found.module)
        for found in imports()
        if "/" not in found.file and found.file != "__main__.py" and found.module.startswith("hearth")
    }
    assert ours == {
        ("events.py", "hearth.messages"),
        ("paths.py", "hearth.errors"),
        ("settings.py", "hearth.errors"),
    }


def test_concrete_classes_are_named_in_one_place() -> None:
    wrong = [
        f"{found.file} imports {found.module}"
        for found in imports()
        for module, places in CONCRETE.items()
        if fnmatch(found.module, module) and not fits(found.file, places)
    ]
    assert not wrong


def test_the_loop_stays_small() -> None:
    assert len((SRC / "agent" / "loop.py").read_text().splitlines()) <= LOOP_LINES


def test_files_stay_small() -> None:
    sizes = {name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for file in source_files()}
    assert not {name: lines for name, lines in sizes.items() if lines > FILE_LINES}


def test_functions_stay_small() -> None:
    long = [
        f"{name_of(file)}:{node.lineno} {node.name}"
        for file in source_files()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    ]
    assert not long


def public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str | None]]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield f"{prefix}{child.name}", ast.get_docstring(child)
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


def test_everything_public_says_what_it_is() -> None:
    silent = [f"{name_of(file)}: module" for file in source_files() if not ast.get_docstring(tree_of(file))]
    silent += [
        f"{name_of(file)}: {name}" for file in source_files() for name, text in public(tree_of(file), "") if not text
    ]
    assert not silent


def project_files(*suffixes: str) -> list[Path]:
    """What git has or would take: no caches, no results of earlier runs."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [file for name in listed if (file := ROOT / name).suffix in suffixes and file.is_file()]


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def test_silenced_checks_say_why() -> None:
    silenced = re.compile(r"#\s*(noqa|type:\s*ignore)")
    reasoned = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[a-z-, ]+\])\s+# \w+")
    wrong = []
    for file in project_files(".py"):
        for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
            if token.type == tokenize.COMMENT and silenced.search(token.string) and not reasoned.search(token.string):
                wrong.append(f"{file.relative_to(ROOT)}:{token.start[0]}")
    assert not wrong


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert not [name_of(file) for file in source_files() if later.search(file.read_text(encoding="utf-8"))]


def test_tests_neither_skip_nor_patch() -> None:
    tricks = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)|^(from|import) unittest|mocker\b", re.MULTILINE)
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert not [file.name for file in files if file.name != Path(__file__).name and tricks.search(file.read_text())]
    names = [file.name for file in files if file.name not in ("conftest.py", "__init__.py")]
    assert sorted(names) == sorted(set(names)), "pytest tells test files apart by their names"


def test_the_project_speaks_of_itself_alone() -> None:
    # In brackets, so that this line does not find itself.
    foreign = re.compile(r"pypi[.]org|python[h]osted|registry[.]npmjs|/wor[k]/(main|shared)")
    suffixes = (".py", ".md", ".toml", ".lock", ".sh", ".txt", ".yml", "")
    assert not [str(file.relative_to(ROOT)) for file in project_files(*suffixes) if foreign.search(read(file))]


def test_the_pages_name_files_that_are_there() -> None:
    named = re.compile(
        r"`((?:tests|src|docs|bench|scripts|runtime|gateway|weights|agent|llm)/[\w./-]+\.(?:py|md|toml))`"
    )
    wrong = [
        f"{page.relative_to(ROOT)} names {found}"
        for page in project_files(".md")
        for found in named.findall(read(page))
        if "NNNN" not in found and not (ROOT / found).exists() and not (SRC / found).exists()
    ]
    assert not wrong


def test_the_guide_for_contributors_stays_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= AGENTS_LINES


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_version_is_told_without_loading_anything_heavy() -> None:
    loaded = loaded_by("from hearth.cli.main import main; main(['--version'])")
    # Coverage, when it watches the child, may load some of these itself.
    loaded -= loaded_by("") if "coverage" in loaded else set()
    assert not loaded & HEAVY


def test_a_run_loads_no_server_and_no_screen() -> None:
    loaded = loaded_by("import hearth.cli.run")
    assert not loaded & {
        "aiohttp",
        "uvicorn",
        "xllamacpp",
        "rich",
        "regex",
        "hearth.gateway",
        "hearth.runtime",
        "hearth.weights",
    }


@pytest.mark.parametrize("name", lock.LOCKS)
def test_the_lock_files_fit(name: str) -> None:
    assert lock.find_problems(ROOT, name) == []


def test_a_stale_lock_file_is_noticed(tmp_path: Path) -> None:
    name = "requirements.lock"
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    text = (ROOT / name).read_text()
    (tmp_path / name).write_text(text.replace("aiohttp==3", "aiohttp==2").replace("\nrich==", "\npoor=="))
    first, second = lock.find_problems(tmp_path, name)
    assert first.startswith("requirements.lock has aiohttp 2")
    assert second == "requirements.lock lacks rich"
    (tmp_path / name).write_text("--index-url http://somewhere\n" + text)
    assert lock.find_problems(tmp_path, name) == ["requirements.lock names a host in line 1"]
