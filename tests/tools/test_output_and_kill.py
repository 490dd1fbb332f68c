"""What a model sees of a command in the background."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hearth.sandbox.background import Background
from hearth.sandbox.command import PlainShell
from hearth.tools.kill import Kill, KillParams
from hearth.tools.output import Output, OutputParams


@pytest.fixture
async def background(tmp_path: Path) -> AsyncIterator[Background]:
    made = Background(PlainShell(tmp_path, os.environ))
    yield made
    await made.close()


async def test_output_tells_what_is_new_and_whether_it_runs(background: Background, tmp_path: Path) -> None:
    job = await background.start("printf '\\033[31mone\\033[0m\\n'; while [ ! -e go ]; do sleep 0.02; done; echo two")
    output = Output(background)
    while not job._unread._kept.total:
        await job.wait(0.01)
    first = await output.run(OutputParams("b1"))
    assert (first.for_model, first.failed) == ("one\n[b1 still runs]", False)
    assert (await output.run(OutputParams("b1"))).for_model == "[nothing new; b1 still runs]"
    (tmp_path / "go").touch()
    last = await output.run(OutputParams("b1", wait=60))
    assert (last.for_model, last.failed) == ("two\n[b1 has ended: exit 0]", False)
    assert (await output.run(OutputParams("b1"))).for_model == "[nothing new; b1 has ended: exit 0]"


async def test_a_command_that_failed_is_a_failed_result(background: Background) -> None:
    await background.start("echo no; exit 3")
    result = await Output(background).run(OutputParams("b1", wait=60))
    assert (result.for_model, result.failed) == ("no\n[b1 has ended: exit 3]", True)


async def test_long_output_is_shortened(background: Background) -> None:
    await background.start("seq 100000")
    result = await Output(background, shorten=lambda text: text[:5]).run(OutputParams("b1", wait=60))
    assert result.for_model == "1\n2\n3\n[b1 has ended: exit 0]"


async def test_kill_tells_the_last_words(background: Background) -> None:
    job = await background.start(
        "exec 2> /dev/null; trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.02; done"
    )
    while not job._unread._kept.total:
        await job.wait(0.01)
    result = await Kill(background).run(KillParams("b1"))
    assert (result.for_model, result.failed) == ("up\nbye\n[b1 is ended: exit 4]", False)
    again = await Kill(background).run(KillParams("b1"))
    assert (again.for_model, again.failed) == ("[b1 had ended before: exit 4]", False)


async def test_an_unknown_id_lists_those_there_are(background: Background) -> None:
    nothing = await Output(background).run(OutputParams("7"))
    assert nothing.failed
    assert nothing.for_model == "there is no command '7' in the background; there is none at all"
    await background.start("sleep 600")
    result = await Kill(background).run(KillParams("7"))
    assert result.failed
    assert result.for_model == "there is no command '7' in the background; there are: b1 (runs: sleep 600)"


async def test_labels_name_the_command(background: Background) -> None:
    await background.start("sleep 600\ntrue")
    assert Output(background).label(OutputParams("b1")) == "b1: sleep 600"
    assert Kill(background).label(KillParams("b1")) == "b1: sleep 600"
    assert Kill(background).label(KillParams("b2")) == "b2"
