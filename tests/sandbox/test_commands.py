"""What one session needs to run commands."""

import asyncio
import os
from pathlib import Path

import pytest

from hearth.sandbox.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, {"PATH": os.environ["PATH"], "GIVEN": "here"})


async def test_commands_run_in_the_folder_with_their_environment_and_are_heard(
    commands: Commands, tmp_path: Path
) -> None:
    heard: list[str] = []
    commands.outlet.listener = heard.append
    ended = await commands.shell.run("pwd; echo $GIVEN$HEARTH_API_KEY", 20.0)
    assert ended.output.split() == [str(tmp_path), "here"]
    assert "".join(heard) == ended.output
    await commands.close()


async def test_closing_ends_what_runs(commands: Commands, tmp_path: Path) -> None:
    assert not commands.busy()
    ending = await commands.background.start("exit 3")
    await ending.wait(20)
    assert (ending.ended, commands.busy()) == (True, False)
    job = await commands.background.start("echo $$ > pid; sleep 600")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    assert commands.busy()
    await commands.close()
    assert job.ended
    assert not commands.busy()
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


async def test_closing_twice_is_no_harm(commands: Commands) -> None:
    await commands.close()
    await commands.close()
