"""Bash: what the model sees of a command."""

import asyncio
import os
from pathlib import Path

import pytest

from hearth.sandbox.background import Background
from hearth.sandbox.command import PlainShell
from hearth.tools.bash import Bash, BashParams
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
    assert bash.label(BashParams("npm start", background=True)) == "npm start (in the background)"


async def test_without_a_background_a_model_is_told_so(bash: Bash) -> None:
    result = await bash.run(BashParams("echo hi", background=True))
    assert result.failed
    assert result.for_model == "nothing can run in the background here: leave background out"


async def test_in_the_background_it_returns_at_once_with_an_id_and_the_first_output(tmp_path: Path) -> None:
    shell = PlainShell(tmp_path, os.environ)
    background = Background(shell)
    bash = Bash(shell, 20.0, background)
    result = await bash.run(BashParams("echo listening; sleep 600", background=True))
    assert not result.failed
    assert result.for_model == (
        'listening\n[runs in the background as b1: output(id="b1") reads on, kill(id="b1") ends it]'
    )
    await background.close()


async def test_what_ends_at_once_in_the_background_is_told_like_any_command(tmp_path: Path) -> None:
    shell = PlainShell(tmp_path, os.environ)
    background = Background(shell)
    bash = Bash(shell, 20.0, background)
    failed = await bash.run(BashParams("no-such-command", background=True))
    assert failed.failed
    assert failed.for_model.endswith("[exit 127]")
    assert await bash.run(BashParams("true", background=True)) == ToolResult("[no output]", for_person="[no output]")
    assert background.jobs == ()
    missing = PlainShell(tmp_path / "gone", os.environ)
    lost = await Bash(missing, 20.0, Background(missing)).run(BashParams("true", background=True))
    assert lost.for_model.startswith("the command could not be started: ")


async def test_too_many_in_the_background_are_refused(tmp_path: Path) -> None:
    shell = PlainShell(tmp_path, os.environ)
    background = Background(shell, most=1)
    bash = Bash(shell, 20.0, background)
    await bash.run(BashParams("sleep 600", background=True))
    refused = await bash.run(BashParams("sleep 600", background=True))
    assert refused.failed
    assert refused.for_model.startswith("the command was not started: 1 commands run in the background: b1")
    await background.close()


async def test_interrupted_before_its_id_is_told_a_command_in_the_background_is_ended(tmp_path: Path) -> None:
    shell = PlainShell(tmp_path, os.environ)
    background = Background(shell)
    bash = Bash(shell, 20.0, background)
    task = asyncio.create_task(bash.run(BashParams("echo $$ > pid; sleep 600", background=True)))
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert background.jobs == ()
    with pytest.raises(ProcessLookupError):
        os.killpg(int((tmp_path / "pid").read_text()), 0)


async def test_how_long_output_is_shortened_can_be_chosen(tmp_path: Path) -> None:
    bash = Bash(PlainShell(tmp_path, os.environ), 20.0, shorten=lambda text: text[:3])
    assert (await bash.run(BashParams("echo abcdef"))).for_model == "abc"


@pytest.mark.parametrize("command", ["sleep 600 & echo on", "(sleep 600; echo x) > log 2>&1 & echo on"])
async def test_what_is_put_into_the_background_by_the_shell_ends_and_that_is_said(bash: Bash, command: str) -> None:
    result = await bash.run(BashParams(command))
    assert result.for_model.startswith("on\n[what it left running was ended with it")
    assert not result.failed


@pytest.mark.parametrize(
    "command", ["true & wait; echo on", "echo on 2>&1 && true", "echo on '&'; exit 0", "echo on|&cat"]
)
async def test_what_is_over_was_not_left(bash: Bash, command: str) -> None:
    assert "[" not in (await bash.run(BashParams(command))).for_model


async def test_a_tool_that_was_taken_for_a_command(tmp_path: Path) -> None:
    bash = Bash(PlainShell(tmp_path, os.environ), 20.0, tools=("apply_patch", "bash"))
    said = (await bash.run(BashParams("apply_patch <<'EOF'\n*** Begin Patch\nEOF"))).for_model
    assert said.endswith("[exit 127]\n[apply_patch is a tool and no command: call it]")
    # A word of a million letters before it is looked through in a moment, not in an hour.
    said = (await bash.run(BashParams("head -c 1000000 /dev/zero | tr '\\0' a; echo; apply_patch"))).for_model
    assert said.endswith("[exit 127]\n[apply_patch is a tool and no command: call it]")
    assert (await bash.run(BashParams("no_such_thing"))).for_model.endswith("[exit 127]")


async def test_a_command_that_is_too_long_says_what_to_do(bash: Bash) -> None:
    said = (await bash.run(BashParams(f"cat <<'EOF'\n{'x' * 3_000_000}\nEOF"))).for_model
    assert "it is too long: write its text into a file first" in said
