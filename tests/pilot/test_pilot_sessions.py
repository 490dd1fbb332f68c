"""Chores, the oracle that plays them, and what is written down."""

import asyncio
import json
import os
import random
import re
import sys
from pathlib import Path

import pytest

from hearth.pilot.data import ForkedPytest, from_json, main, make_toolbox, play_chore, to_json, warm_pytest
from hearth.pilot.oracle import RUN_TESTS, Oracle
from hearth.pilot.projects import Kind, make_chore
from hearth.pilot.words import Words
from hearth.sandbox.command import PlainShell

pytestmark = pytest.mark.slow

KINDS: tuple[Kind, ...] = ("fix", "rename", "constant", "explain", "other")


@pytest.mark.parametrize("kind", KINDS)
def test_a_chore_is_the_same_for_the_same_seed_and_not_done_at_first(kind: Kind, tmp_path: Path) -> None:
    first, second = (make_chore(rng, kind, Words(rng)) for rng in (random.Random(5), random.Random(5)))
    assert (first.prompt, first.files, first.wanted, first.answer) == (
        second.prompt,
        second.files,
        second.wanted,
        second.answer,
    )
    first.write(tmp_path)
    assert not first.is_done(tmp_path, "something else")
    assert set(first.wanted) <= set(first.files)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_oracle_does_its_chore_through_the_real_tools(kind: Kind, tmp_path: Path) -> None:
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for seed in range(3):
        rng = random.Random(seed)
        chore = make_chore(rng, kind, Words(rng))
        folder = tmp_path / str(seed)
        chore.write(folder)
        shell = PlainShell(folder, {**os.environ, "PATH": search})
        recording = await Oracle(chore, make_toolbox(folder, shell), rng).play()
        assert chore.is_done(folder, recording.messages[-1].content)
        assert len(recording.messages) == len(recording.learn)
        spoken = [message for message, wanted in zip(recording.messages, recording.learn, strict=True) if wanted]
        assert spoken
        assert all(message.role == "assistant" for message in spoken)
        kind_again, messages, learn = from_json(to_json(kind, recording))
        assert (kind_again, messages, learn) == (kind, recording.messages, recording.learn)


@pytest.mark.parametrize("kind", ["rename", "constant"])
async def test_after_its_slips_the_chore_is_done_all_the_same(kind: Kind, tmp_path: Path) -> None:
    said: set[str] = set()
    for seed in range(150):
        rng = random.Random(seed)
        recording = await play_chore(rng, kind, Words(rng), tmp_path / str(seed))
        if recording is None or all(recording.learn[2::2]):
            continue
        for message, learnt in zip(recording.messages[2::2], recording.learn[2::2], strict=True):
            if not learnt:
                said.add(recording.messages[recording.messages.index(message) + 1].content.split(":")[0].split()[0])
    assert {"not", "edited"} <= said


async def test_the_forked_test_run_says_what_the_real_one_says(tmp_path: Path) -> None:
    rng = random.Random(3)
    chore = make_chore(rng, "fix", Words(rng))
    chore.write(tmp_path)
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": search, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    real = await PlainShell(tmp_path, environment).run(RUN_TESTS, 60)
    # The fork must come from a process that runs no test itself: pytest does not nest.
    script = (
        "import asyncio, json, sys; from pathlib import Path; from hearth.pilot.data import ForkedPytest, RUN_TESTS\n"
        "r = asyncio.run(ForkedPytest(Path(sys.argv[1]), plugins=False).run(RUN_TESTS, 60))\n"
        "print(json.dumps([r.output, r.code]))"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await child.communicate()
    output, code = json.loads(printed)
    assert code == real.code == 1
    assert _without_seconds(output) == _without_seconds(real.output)


async def test_the_forked_shell_runs_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only"):
        await ForkedPytest(tmp_path, plugins=False).run("ls", 1)


def test_sessions_are_appended_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sessions.jsonl"
    child = [sys.executable, "-m", "hearth.pilot.data", str(target), "6", "--seed", "2", "--held-out"]
    assert os.spawnv(os.P_WAIT, sys.executable, child) == 0
    lines = target.read_text().splitlines()
    assert 4 <= len(lines) <= 6
    assert {from_json(line)[0] for line in lines} <= set(KINDS)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "sessions" in capsys.readouterr().out


async def test_a_chore_leaves_no_folder(tmp_path: Path) -> None:
    rng = random.Random(1)
    assert await play_chore(rng, "explain", Words(rng), tmp_path / "project")
    assert not (tmp_path / "project").exists()
    assert callable(warm_pytest)


def _without_seconds(output: str) -> str:
    return re.sub(r"in \d+\.\d+s", "in N s", output)
