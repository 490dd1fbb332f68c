"""Bash: what the model sees of a command."""

import os
from pathlib import Path

import pytest

from hearth.sandbox.command import PlainShell
from hearth.tools.bash import Bash, BashParams, clean_output
from hearth.tools.tool import ToolResult


@pytest.fixture
def bash(tmp_path: Path) -> Bash:
    return Bash(PlainShell(tmp_path, os.environ), timeout_s=20.0)


@pytest.mark.parametrize(
    ("command", "text", "failed"),
    [
        ("echo hi", "hi", False),
        ("true", "[no output]", False),
        ("exit 3", "[exit 3]", True),
        ("echo out; echo err >&2; exit 1", "out\nerr\n[exit 1]", True),
        ("kill -SEGV $$", "[ended by signal 11]", True),
        ("printf '\\033[31mred\\033[0m\\n'", "red", False),
        ("printf '10%%\\r50%%\\r100%%\\n'", "100%", False),
        ("printf 'done\\r\\nnext\\r'", "done\nnext", False),
        ("printf 'caf\\351'", "caf\ufffd", False),
        ("cat", "[no output]", False),
        ("", "[no output]", False),
    ],
)
async def test_output_and_status(bash: Bash, command: str, text: str, failed: bool) -> None:
    assert await bash.run(BashParams(command)) == ToolResult(text, for_person=text, failed=failed)


async def test_it_runs_in_the_project(bash: Bash, tmp_path: Path) -> None:
    assert (await bash.run(BashParams("pwd -P"))).for_model == str(tmp_path.resolve())


async def test_an_unknown_command(bash: Bash) -> None:
    result = await bash.run(BashParams("no-such-command"))
    assert result.failed
    assert result.for_model.endswith("[exit 127]")


async def test_a_time_out_keeps_what_came_before(bash: Bash) -> None:
    result = await bash.run(BashParams("echo before; sleep 60", timeout=1))
    assert result.failed
    assert result.for_model == "before\n[stopped after 1 s; its whole process group was ended]"


async def test_long_output_keeps_both_ends(bash: Bash) -> None:
    text = (await bash.run(BashParams("seq 100000"))).for_model
    assert text.startswith("1\n2\n")
    assert text.endswith("\n100000")
    assert "lines, " in text
    assert len(text) < 10_100


async def test_what_cannot_start_is_a_result(tmp_path: Path) -> None:
    gone = Bash(PlainShell(tmp_path / "gone", os.environ), 1.0)
    for command in ("true", "a\0b", "\ud800", "x" * 10_000_000):
        result = await gone.run(BashParams(command))
        assert result.failed
        assert result.for_model.startswith("the command could not be started: ")


def test_labels(bash: Bash) -> None:
    assert bash.label(BashParams("echo a")) == "echo a"
    assert bash.label(BashParams("\necho a\necho b\n")) == "echo a …"
    assert bash.label(BashParams("")) == ""


@pytest.mark.parametrize(
    ("output", "cleaned"),
    [
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;link\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x1b[2K\x1b[1;32mok\x1b[m", "ok"),
        ("\x1b(B\x1b[mok\x1bc\x1b7", "ok"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\rb\rc", "c"),
        ("a\r\r\nb", "a\nb"),
        ("\r", ""),
        ("no codes", "no codes"),
    ],
)
def test_terminal_codes_are_dropped(output: str, cleaned: str) -> None:
    assert clean_output(output) == cleaned


def test_cleaning_takes_linear_time() -> None:
    assert clean_output("\x1b]" * 300_000) == ""
    assert clean_output("\r" * 1_000_000) == ""
