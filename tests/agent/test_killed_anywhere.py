"""Killed between any two records of a long session, also around a compaction, it goes on and knows what it is at."""

import shutil
from pathlib import Path

import pytest
from test_context_windows import TASK, Reader, good_summary, work

from counting_model import CountingModel, check_roles
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.loop import Turn, run_turn
from hearth.agent.transcript import open_transcript
from hearth.events import Event
from hearth.llm.request import Request
from hearth.messages import Message
from hearth.tools.outputs import Outputs
from hearth.tools.truncate import longest_output
from made_session import Trusting

WINDOW = 8_192


def answer(request: Request) -> Message:
    if "about to be shortened" in request.messages[-1].content:
        return good_summary(request)
    return Message("assistant", "I go on with what was decided.")


async def go_on(folder: Path) -> CountingModel:
    """Resume the session of a folder with a prompt, and answer once."""
    transcript = open_transcript(folder, "s")
    outputs = Outputs(folder / "outputs", longest_output(WINDOW))
    model, seen, turn = CountingModel(WINDOW, answer), list[Event](), Turn()
    context = Context(transcript, model, seen.append, window=WINDOW, keep=outputs.keep)
    transcript.begin_turn("Go on.")
    await run_turn(FittedModel(model, context), Reader(outputs), context, Trusting(), seen.append, 5, turn)
    transcript.close()
    assert (turn.status, turn.failure) == ("completed", None)
    return model


@pytest.mark.slow
async def test_killed_between_any_two_records(tmp_path: Path) -> None:
    await work(tmp_path, WINDOW, good_summary)
    lines = (tmp_path / "s.jsonl").read_bytes().splitlines(keepends=True)
    rewrites = [place for place, line in enumerate(lines) if b'"type":"rewrite"' in line]
    assert len(rewrites) >= 3
    around = {place + shift for place in rewrites[:6] for shift in (-1, 0, 1, 2)}
    for place in sorted(around | set(range(3, len(lines), 17))):
        folder = tmp_path / f"cut-{place}"
        shutil.copytree(tmp_path / "outputs", folder / "outputs")
        (folder / "s.jsonl").write_bytes(b"".join(lines[:place]))
        model = await go_on(folder)
        assert model.refused == 0
        last = model.requests[-1]
        check_roles(last.messages[1:])
        prompt = "\n".join(message.content for message in last.messages)
        assert TASK in prompt
        decided = sum(
            b'"content":"Decision ' in line for line in lines[:place] if line.startswith(b'{"type":"message"')
        )
        assert all(f"Decision {step}" in prompt for step in range(max(1, decided - 4), decided + 1))
        shutil.rmtree(folder)
