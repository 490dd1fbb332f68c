"""A text of which a grammar dies costs that text alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import WorkspaceError
from hearth.workspace import syntax
from hearth.workspace.files import Workspace
from hearth.workspace.repomap import RepoMap
from hearth.workspace.syntax.definitions import Outline
from hearth.workspace.syntax.reader import SyntaxReader

DEADLY = "- " * 400 + "a"
"""Its grammar's reader runs over the end of its buffer (tree-sitter-yaml 0.7.2)."""
DEADLY_BY_CHANCE = [f"{{{chr(code)}" for code in range(0x10000, 0x110000, 0x4000)]
"""tree-sitter-bash issue 337: whether one of these kills depends on what lies behind a table in memory."""
PYTHON = "class Cart:\n    def total(self):\n        return tax(1)\n"


@pytest.fixture(scope="module")
def reader() -> SyntaxReader:
    return SyntaxReader()


def children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def test_it_says_what_the_functions_say(reader: SyntaxReader) -> None:
    broken = PYTHON.replace(":", "", 1)
    assert reader.find_errors("a.py", broken) == syntax.find_errors("a.py", broken) != ()
    assert reader.find_new_errors("a.py", PYTHON, broken) == syntax.find_new_errors("a.py", PYTHON, broken) != ()
    assert reader.find_new_errors("a.py", broken, broken) == ()
    assert reader.list_definitions("a.py", PYTHON) == syntax.list_definitions("a.py", PYTHON) != ()
    assert reader.outline("a.py", PYTHON) == syntax.outline("a.py", PYTHON) != Outline()
    assert reader.enclosing("a.py", PYTHON, 3) == syntax.enclosing("a.py", PYTHON, 3) != ""
    assert reader.list_definitions("a.md", "# One\n") == syntax.list_definitions("a.md", "# One\n") != ()
    assert reader.find_errors("a.unknown", "(((") == ()


@given(text=st.text(max_size=100), path=st.sampled_from(("a.py", "a.js", "a.json", "a.md", "a.toml", "Makefile")))
@settings(max_examples=60, deadline=None)
def test_it_says_so_of_any_text(reader: SyntaxReader, text: str, path: str) -> None:
    assert reader.find_errors(path, text) == syntax.find_errors(path, text)
    assert reader.outline(path, text) == syntax.outline(path, text)


def test_half_a_surrogate_pair_is_read_in_texts_and_names(reader: SyntaxReader) -> None:
    text = "x = '\ud800'\n"
    assert reader.find_errors("a.py", text) == syntax.find_errors("a.py", text) != ()
    assert reader.find_errors("\udcff.json", "[1,") == syntax.find_errors("\udcff.json", "[1,") != ()


def test_a_text_that_kills_a_grammar_is_one_of_which_nothing_is_known() -> None:
    reader = SyntaxReader()
    assert reader.list_definitions("a.py", PYTHON)
    assert reader.find_errors("a.yml", DEADLY) == ()
    assert reader.outline("a.yml", DEADLY) == Outline()
    assert reader.enclosing("a.yml", DEADLY, 1) == ""
    for text in DEADLY_BY_CHANCE:
        reader.find_errors("a.sh", text)
    assert reader.find_errors("a.yml", "a: [1\n") != ()
    assert reader.list_definitions("a.py", PYTHON) == syntax.list_definitions("a.py", PYTHON)


def test_a_child_that_somebody_killed_is_replaced_and_asked_again() -> None:
    reader, others = SyntaxReader(), children()
    assert reader.find_errors("a.json", "[") != ()
    (child,) = children() - others
    os.kill(child, signal.SIGKILL)
    assert reader.find_errors("a.json", "[1") != ()
    (second,) = children() - others
    assert second != child
    # The text that killed one is not tried on the next.
    reader.find_errors("a.yml", DEADLY)
    left = children() - others
    reader.find_errors("a.yml", DEADLY)
    assert children() - others == left
    del reader
    assert children() <= others


def test_a_text_that_takes_too_long_is_given_up() -> None:
    others = children()
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    reader = SyntaxReader(limit_s=0.2, command=silent)
    assert reader.find_errors("a.py", "x = 1\n" * 100_000) == ()
    assert reader.list_definitions("a.py", PYTHON) == ()
    assert children() <= others


@pytest.mark.parametrize("command", [("/nowhere/python",), (sys.executable, "-c", "raise SystemExit(1)")])
def test_where_no_process_can_be_started_nothing_is_known(command: tuple[str, ...]) -> None:
    reader = SyntaxReader(command=command)
    assert reader.find_errors("a.py", "(") == ()
    with pytest.raises(WorkspaceError):
        reader.outline("a.py", PYTHON)


def test_a_map_does_not_keep_that_nobody_could_be_asked(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.py").write_text(PYTHON)
    workspace, cache = Workspace(tmp_path / "p"), tmp_path / "cache"
    drawn = RepoMap(workspace, cache, outline=SyntaxReader(command=("/nowhere/python",)).outline).draw(500)
    assert "Cart" not in drawn
    assert "Cart" in RepoMap(workspace, cache, outline=SyntaxReader().outline).draw(500)


def test_a_text_is_asked_about_again_when_there_was_nobody_to_ask(tmp_path: Path) -> None:
    program = tmp_path / "python"
    reader = SyntaxReader(command=(str(program), "-P", "-m", "hearth.workspace.syntax.worker"))
    assert reader.find_errors("a.json", "[") == ()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    assert reader.find_errors("a.json", "[") != ()


def test_what_is_typed_at_the_terminal_is_not_meant_for_the_child() -> None:
    reader, others = SyntaxReader(), children()
    assert reader.find_errors("a.json", "[") != ()
    (child,) = children() - others
    assert os.getpgid(child) == child
    assert os.getpgid(child) != os.getpgrp()


def test_a_child_gives_up_by_itself_when_nobody_is_left() -> None:
    slow = random.Random(1).randbytes(2_400_000).decode("latin-1")
    request = msgspec.msgpack.encode(["outline", [b"a.cpp", slow.encode()]])
    command = [sys.executable, "-P", "-m", "hearth.workspace.syntax.worker", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        worker.communicate(len(request).to_bytes(4, "big") + request)
    assert worker.returncode == -signal.SIGALRM


def test_it_answers_whoever_asks(reader: SyntaxReader) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            name = f"function_{number}"
            found = reader.list_definitions("a.py", f"def {name}():\n    pass\n" * 50)
            if len(found) != 50 or any(each.name != name for each in found):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
