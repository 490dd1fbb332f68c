"""Training sessions: an oracle plays chores through the real tools, and what was said is written down.

Run as ``python -m hearth.pilot.data OUT.jsonl COUNT``; appends, so that training may read meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from hearth.messages import Message, ToolCall
from hearth.pilot.oracle import RUN_TESTS, Oracle, Recording, SpoiltError
from hearth.pilot.projects import Kind, make_chore
from hearth.pilot.words import MADE_UP_SHARE, Words
from hearth.sandbox.command import QUIET, CommandResult, Shell
from hearth.tools.bash import Bash
from hearth.tools.edit import Edit
from hearth.tools.grep import Grep
from hearth.tools.read import Read
from hearth.tools.toolbox import Toolbox
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace

MIX: dict[Kind, int] = {"fix": 24, "rename": 28, "constant": 34, "explain": 12, "other": 2}
"""Sessions of each kind in a hundred. Those with long ways are rarer: what counts is how many tokens a kind gets."""
KIN_SHARE = 0.25
"""Share of names that share a word or a beginning with another one of the project, in training."""
PLUGINS_SHARE = 0.06
"""Share of sessions whose pytest loads the plugins that happen to be installed: their warnings are met in real use."""


class ForkedPytest:
    """Runs the pilot's test command in a fork of this process: the same pytest, without its second of start-up."""

    def __init__(self, directory: Path, plugins: bool) -> None:
        self._directory = directory
        self._plugins = plugins

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run RUN_TESTS; any other command is refused."""
        if command != RUN_TESTS:
            raise ValueError(f"only {RUN_TESTS!r} is run here, not {command!r}")
        import pytest

        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.chdir(self._directory)
            os.environ.update(QUIET)
            if not self._plugins:
                os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            sys.dont_write_bytecode = True
            sys.path.insert(0, str(self._directory))
            sys.argv = ["pytest", "-q", "--tb=short"]
            code = int(pytest.main(["-q", "--tb=short"]))
            sys.stdout.flush()
            os._exit(code)
        os.close(writer)
        return _collect(reader, child)


def _collect(reader: int, child: int) -> CommandResult:
    with os.fdopen(reader, "rb") as pipe:
        output = pipe.read()
    _, status = os.waitpid(child, 0)
    return CommandResult(output.decode(), os.waitstatus_to_exitcode(status))


def make_toolbox(folder: Path, shell: Shell) -> Toolbox:
    """The pilot's tools over one project."""
    workspace = Workspace(folder)
    return Toolbox([Bash(shell, 60.0), Edit(Editor(workspace), "terse"), Grep(workspace), Read(workspace)])


async def play_chore(rng: random.Random, kind: Kind, words: Words, folder: Path) -> Recording | None:
    """One session in a fresh project below ``folder``, which is removed afterwards; None if the oracle failed."""
    chore = make_chore(rng, kind, words)
    chore.write(folder)
    try:
        shell = ForkedPytest(folder, plugins=rng.random() < PLUGINS_SHARE)
        oracle = Oracle(chore, make_toolbox(folder, shell), rng)
        try:
            recording = await oracle.play()
        except SpoiltError:
            return None
        return recording if chore.is_done(folder, recording.messages[-1].content) else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def to_json(kind: str, recording: Recording) -> str:
    """One line of the training file."""
    messages = [asdict(message) for message in recording.messages]
    return json.dumps({"kind": kind, "messages": messages, "learn": recording.learn}, ensure_ascii=False)


def from_json(line: str) -> tuple[str, list[Message], list[bool]]:
    """Kind, messages and what is to be learnt, from one line of the training file."""
    record = json.loads(line)
    messages = []
    for fields in record["messages"]:
        calls = tuple(ToolCall(**call) for call in fields["tool_calls"])
        messages.append(Message(**{**fields, "tool_calls": calls, "images": tuple(fields.get("images", ()))}))
    return record["kind"], messages, record["learn"]


def warm_pytest(folder: Path) -> None:
    """Import all that a pytest run needs, once: forks share it."""
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    (folder / "test_warm.py").write_text("def test_warm():\n    assert [1] == [2]\n")
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["-q", "--tb=short", "--rootdir", str(folder), str(folder)])
    del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]


def main(arguments: list[str]) -> int:
    """Append sessions to a file."""
    parser = argparse.ArgumentParser(prog="hearth.pilot.data", description="Make training sessions for the pilot.")
    parser.add_argument("target", type=Path, help="file to append to, JSON lines")
    parser.add_argument("count", type=int, help="how many sessions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="name things with the words that training never sees")
    parser.add_argument(
        "--made-up", action="store_true", help="name things with made-up words only (to learn the vocabulary)"
    )
    parser.add_argument("--kinds", nargs="+", choices=tuple(MIX), default=tuple(MIX), help="only these (default: all)")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    words = Words(
        rng, options.held_out, 1.0 if options.made_up else MADE_UP_SHARE, 0.0 if options.held_out else KIN_SHARE
    )
    with tempfile.TemporaryDirectory() as scratch, options.target.open("a", encoding="utf-8") as file:
        warm_pytest(Path(scratch))
        for number in range(1, options.count + 1):
            kind = rng.choices(options.kinds, [MIX[kind] for kind in options.kinds])[0]
            recording = asyncio.run(play_chore(rng, kind, words, Path(scratch) / "project"))
            if recording:
                file.write(to_json(kind, recording) + "\n")
            if number % 100 == 0 or number == options.count:
                file.flush()
                print(f"{number} sessions", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
