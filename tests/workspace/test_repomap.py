"""The map of generated projects: within its budget, the same bytes again, what is named first, nothing read twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RepoMap
from hearth.workspace.repomap.cache import Kept, SketchCache
from hearth.workspace.repomap.drawing import CHARACTERS_A_TOKEN
from hearth.workspace.repomap.sketch import Sketch


def write(root: Path, files: dict[str, str]) -> Workspace:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Workspace(root)


def generate(root: Path, count: int, seed: int = 1) -> Workspace:
    """Modules in which each uses some of the earlier ones, the first ones the most."""
    choose = random.Random(seed)
    files = {}
    for number in range(count):
        used = sorted({int(choose.random() ** 3 * number) for _ in range(4)}) if number else []
        imports = [f"from project.part{one % 7}.module_{one} import Class{one}, helper_{one}" for one in used]
        calls = [f"        helper_{one}(Class{one}())" for one in used] or ["        pass"]
        lines = [
            *(*imports, "", f"class Class{number}:", f"    def method_{number}(self, value: int) -> None:", *calls, ""),
            *(f"def helper_{number}(", "    given: object,", ") -> int:", "    return 1", ""),
            *(f"def _private_{number}(): ...", ""),
        ]
        files[f"project/part{number % 7}/module_{number}.py"] = "\n".join(lines)
    return write(root, files)


@pytest.mark.parametrize("budget", [0, 5, 20, 100, 300, 1_000, 4_000])
def test_a_map_keeps_to_its_budget(tmp_path: Path, budget: int) -> None:
    drawn = RepoMap(generate(tmp_path, 60)).draw(budget)
    assert len(drawn) <= budget * CHARACTERS_A_TOKEN
    if budget >= 100:
        # The budget is used, not only kept.
        assert len(drawn) > budget * CHARACTERS_A_TOKEN * 0.7 or "module_59.py" in drawn


def test_a_measured_ratio_counts(tmp_path: Path) -> None:
    workspace = generate(tmp_path, 60)
    assert len(RepoMap(workspace, characters_a_token=2.0).draw(200)) <= 400


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    files = generate(first, 40)
    copies = {path: (first / path).read_text() for path in files.walk()}
    # Written in another order, at another time.
    workspace = write(second, dict(reversed(copies.items())))
    prompt = "make helper_7 faster in module_3.py"
    assert RepoMap(files).draw(400, prompt) == RepoMap(workspace).draw(400, prompt)
    assert RepoMap(files).rank_files(prompt, 9) == RepoMap(workspace).rank_files(prompt, 9)


def test_definitions_stand_as_in_the_source_below_their_paths(tmp_path: Path) -> None:
    workspace = write(
        tmp_path,
        {
            "a.py": "LIMIT = 3\n\n@decorated\nclass Reader(Base):\n    async def parse(\n        self,\n"
            "        text: str,\n    ) -> int:\n        def inner(): ...\n        return 1\n",
            "web/b.ts": "export class View {\n  draw(): void {\n  }\n}\n",
            "notes.md": "# One\n",
        },
    )
    assert RepoMap(workspace).draw(200) == (
        "a.py:\n  LIMIT = 3\n  class Reader(Base):\n    async def parse(self, text: str) -> int:\n"
        "web/b.ts:\n  export class View\n    draw(): void\nother files: notes.md\n"
    )


def test_what_many_files_use_comes_before_what_none_uses(tmp_path: Path) -> None:
    files = {f"use{number}.py": "from core import central_thing\ncentral_thing()\n" for number in range(9)}
    files |= {"core.py": "def central_thing(): ...\n", "aaa.py": "def nobody_calls_this(): ...\n"}
    drawn = RepoMap(write(tmp_path, files)).draw(18)
    assert drawn == "core.py:\n  def central_thing(): ...\n"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("mend helper_55", "helper_55"),
        ("mend Class58", "class Class58"),
        ("what does `_private_41` do?", "_private_41"),
        ("Class37.method_37 fails", "method_37"),
        ("look at project/part1/module_57.py", "module_57.py:"),
        ("look at module_57.py", "module_57.py:"),
        ("import of project.part1.module_57 fails", "module_57.py:"),
    ],
)
def test_what_a_task_names_comes_first(tmp_path: Path, prompt: str, expected: str) -> None:
    workspace = generate(tmp_path, 60)
    assert expected not in RepoMap(workspace).draw(40)
    assert expected in RepoMap(workspace).draw(40, prompt)


def test_ignored_and_odd_files_are_left_out(tmp_path: Path) -> None:
    workspace = write(
        tmp_path,
        {
            ".gitignore": "build/\n*.gen.py\n",
            "build/made.py": "def made(): ...\n",
            "a.gen.py": "def generated(): ...\n",
            "node_modules/x/x.js": "function installed() {}\n",
            "sub/.gitignore": "*\n!kept.py\n",
            "sub/kept.py": "def kept(): ...\n",
            "sub/dropped.py": "def dropped(): ...\n",
            "huge.py": "def huge(): ...\n" * 60_000,
            "good.py": "def good(): ...\n",
        },
    )
    (tmp_path / "binary.py").write_bytes(b"def binary(): ...\n\0")
    (tmp_path / "latin.py").write_bytes(b"# \xe9\ndef latin(): ...\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "good.py")
    (tmp_path / "away").symlink_to("/usr")
    os.mkfifo(tmp_path / "pipe.py")
    drawn = RepoMap(workspace).draw(500)
    assert drawn == (
        "good.py:\n  def good(): ...\nlatin.py:\n  def latin(): ...\nsub/kept.py:\n  def kept(): ...\n"
        "other files: binary.py .gitignore huge.py\n"
    )


def test_an_empty_or_unreadable_project_has_no_map(tmp_path: Path) -> None:
    assert RepoMap(Workspace(tmp_path)).draw(500) == ""
    assert RepoMap(Workspace(tmp_path / "gone")).draw(500) == ""
    assert RepoMap(Workspace(tmp_path)).rank_files("anything", 5) == ()


def test_no_time_gives_no_more_than_names(tmp_path: Path) -> None:
    workspace = generate(tmp_path / "project", 30)
    cache = tmp_path / "cache"
    assert "class" not in RepoMap(workspace, cache).draw(500, deadline_s=-1)
    # What one look did not reach is read by the next.
    assert RepoMap(workspace, cache).draw(500) == RepoMap(workspace).draw(500)


def test_the_cache_is_used_and_does_not_lie(tmp_path: Path) -> None:
    workspace = generate(tmp_path / "project", 30)
    cache = tmp_path / "cache"
    assert RepoMap(workspace, cache).draw(3_000) == RepoMap(workspace).draw(3_000)
    (kept,) = cache.iterdir()
    before = kept.read_bytes()
    assert RepoMap(workspace, cache).draw(3_000) == RepoMap(workspace).draw(3_000)
    assert kept.read_bytes() == before
    # The same size, a moment later: the time of change need not tell.
    changed = tmp_path / "project/project/part0/module_0.py"
    status = changed.stat()
    changed.write_text(changed.read_text().replace("helper_0", "hinder_0"))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "hinder_0" in RepoMap(workspace, cache).draw(3_000)
    changed.unlink()
    assert RepoMap(workspace, cache).draw(3_000) == RepoMap(workspace).draw(3_000)
    assert [file.name for file in cache.iterdir()] == [kept.name]


def test_an_old_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    workspace = write(tmp_path / "project", {"a.py": "def first(): ...\n"})
    cache = tmp_path / "cache"
    file = tmp_path / "project/a.py"
    os.utime(file, ns=(10**18, 10**18))
    RepoMap(workspace, cache).draw(100)
    # Nobody's editor does this: it shows that the time and the size are believed.
    file.write_text("def other(): ...\n")
    os.utime(file, ns=(10**18, 10**18))
    assert "first" in RepoMap(workspace, cache).draw(100)


@given(data=st.binary(max_size=200), cut=st.integers(0, 2_000), flip=st.integers(0, 2_000))
@settings(max_examples=40, deadline=None)
def test_a_broken_cache_is_no_cache(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int, flip: int) -> None:
    root = tmp_path_factory.mktemp("broken")
    workspace = generate(root / "project", 5)
    expected = RepoMap(workspace, root / "cache").draw(1_000)
    (kept,) = (root / "cache").iterdir()
    whole = kept.read_bytes()
    for wrong in (data, whole[: cut % len(whole)], whole + data, b""):
        kept.write_bytes(wrong)
        assert RepoMap(workspace, root / "cache").draw(1_000) == expected
    # Of a flipped byte only this is asked: that nothing falls.
    kept.write_bytes(whole[: flip % len(whole)] + b"\xc1" + whole[flip % len(whole) + 1 :])
    RepoMap(workspace, root / "cache").draw(1_000)


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    workspace = generate(tmp_path / "project", 5)
    (tmp_path / "cache").write_text("a file, no folder")
    assert RepoMap(workspace, tmp_path / "cache").draw(500) == RepoMap(workspace).draw(500)


def test_a_name_that_is_no_text_ends_no_look(tmp_path: Path) -> None:
    workspace = write(tmp_path / "p", {"a.py": "def first(): ...\n", "ü.py": "def second(): ...\n"})
    try:
        (tmp_path / "p" / os.fsdecode(b"\xff.py")).write_text("def third(): ...\n")
    except OSError:
        # Some systems have no such names.
        (tmp_path / "p" / "third.py").write_text("def third(): ...\n")
    cache = tmp_path / "cache"
    for _ in range(2):
        drawn = RepoMap(workspace, cache).draw(500)
        assert drawn == RepoMap(workspace).draw(500)
        assert "third" in drawn
    assert {"a.py", "ü.py"} <= set(SketchCache(cache, workspace.root).load())


def test_only_the_last_projects_are_kept(tmp_path: Path) -> None:
    for number in range(25):
        RepoMap(write(tmp_path / f"p{number}", {"a.py": "def f(): ...\n"}), tmp_path / "cache").draw(100)
    assert len(list((tmp_path / "cache").iterdir())) == 20


FILES = {
    "shop/cart.py": "from shop.money import Price\n\nclass Cart:\n    def add_item(self, price: Price): ...\n",
    "shop/money.py": 'class Price:\n    def parse(self):\n        raise ValueError("no such currency")\n',
    "shop/orders/csv_export.py": "def write_rows(): ...\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\ndef test_cart(): Cart().add_item(1)\n",
    "docs/guide.md": "Set HEARTH_LIMIT to bound it.\n",
    "other/thing.py": "def unrelated(): ...\n",
}

TASKS = [
    ("Cart.add_item must refuse negative amounts", "shop/cart.py", "defines Cart.add_item (line 4)"),
    ("why does it say `no such currency` for euros?", "shop/money.py", "contains 'no such currency'"),
    ("the exported csv lacks a header", "shop/orders/csv_export.py", "its path has 'csv'"),
    ("HEARTH_LIMIT is ignored", "docs/guide.md", "contains 'HEARTH_LIMIT'"),
    ("tidy up other/thing.py", "other/thing.py", "named in the task"),
    ("fix shop.money", "shop/money.py", "named in the task"),
    ("carts lose their items", "shop/cart.py", "defines Cart (line 3)"),
]


@pytest.mark.parametrize(("prompt", "path", "why"), TASKS)
def test_the_files_of_a_task_come_first_with_why(tmp_path: Path, prompt: str, path: str, why: str) -> None:
    best = RepoMap(write(tmp_path, FILES)).rank_files(prompt, 3)
    assert best[0].path == path
    assert why in best[0].why


def test_a_task_that_names_nothing_points_nowhere(tmp_path: Path) -> None:
    assert RepoMap(write(tmp_path, FILES)).rank_files("please make it work", 5) == ()
    assert RepoMap(write(tmp_path, FILES)).rank_files("Cart", 0) == ()


@given(prompt=st.text(max_size=200), budget=st.integers(-5, 400))
@settings(max_examples=60, deadline=None)
def test_any_prompt_can_be_asked(tmp_path_factory: pytest.TempPathFactory, prompt: str, budget: int) -> None:
    workspace = write(tmp_path_factory.mktemp("asked"), FILES)
    drawn = RepoMap(workspace).draw(budget, prompt)
    assert len(drawn) <= max(budget, 0) * CHARACTERS_A_TOKEN
    RepoMap(workspace).rank_files(prompt, 5)


def test_a_sketch_of_another_language_does_not_hold(tmp_path: Path) -> None:
    workspace = write(tmp_path / "project", {"a.py": "def f(): ...\n"})
    os.utime(tmp_path / "project/a.py", ns=(10**18, 10**18))
    expected = RepoMap(workspace, tmp_path / "cache").draw(100)
    cache = SketchCache(tmp_path / "cache", workspace.root)
    # As if the grammar had not been there when the file was read.
    kept = cache.load()["a.py"]
    cache.save({"a.py": Kept(kept.size, kept.changed_ns, kept.digest, Sketch("", (), "", ()))})
    assert RepoMap(workspace, tmp_path / "cache").draw(100) == expected
