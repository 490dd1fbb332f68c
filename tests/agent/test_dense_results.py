"""Results that tokenizers cut small: a session in a small window goes on with them, and is hardly ever refused."""

import base64
import json
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from counting_model import CountingModel
from hearth.agent.context import Context
from hearth.agent.fitted import FittedModel
from hearth.agent.frame import Frame
from hearth.agent.loop import Turn, run_turn
from hearth.agent.portions import Portions
from hearth.agent.transcript import create_transcript
from hearth.llm.request import Request
from hearth.messages import Message, ToolCall
from hearth.tools.outputs import Outputs
from hearth.tools.tool import ToolResult
from hearth.tools.truncate import longest_output
from made_session import Trusting

STEPS = 24
SUMMARY = Message("assistant", "Goal: look at all figures\nDecisions: none so far\nNext: go on with the next file")
chance = random.Random(5)
KINDS: dict[str, Callable[[], str]] = {
    "figures": lambda: ",".join(f"{chance.random():.7f}" for _ in range(10)),
    "records": lambda: json.dumps({"id": chance.randrange(10**6), "key": f"{chance.getrandbits(64):x}"}),
    "base64": lambda: base64.b64encode(chance.randbytes(57)).decode(),
    "chinese": lambda: "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(40)),
    "prose": lambda: "The invoice was sent on a sunny day and paid in full by a customer of ours.",
    "emoji": lambda: "".join(chr(chance.randrange(0x1F300, 0x1F6FF)) for _ in range(40)),
}


class Reader:
    """Tools whose every result is long; the first ones are prose, as most of what a session reads."""

    def __init__(self, outputs: Outputs, line: Callable[[], str], prose: int) -> None:
        self._outputs = outputs
        self._line = line
        self._prose = prose

    def label(self, call: ToolCall) -> str:
        return call.name

    async def run(self, call: ToolCall) -> ToolResult:
        self._prose -= 1
        if self._prose >= 0:
            return ToolResult("The invoice was sent on a sunny day and paid in full.\n" * 25)
        return ToolResult(self._outputs.cut("\n".join(self._line() for _ in range(600))))


class Looker:
    """Looks at one file after the other."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self, request: Request) -> Message:
        if "about to be shortened" in request.messages[-1].content:
            return SUMMARY
        self.step += 1
        if self.step > STEPS:
            return Message("assistant", "done")
        return Message("assistant", "", (ToolCall("c", "bash", json.dumps({"command": f"cat data-{self.step}"})),))


async def look_at_all(kind: str, window: int, prose: int, folder: Path, *, told: bool = True) -> tuple[Turn, int]:
    """The turn, and how often the engine refused; a window that was not ``told`` is known after the first answer."""
    known = window if told else 0
    frame = Frame("s", str(folder), "m", "standard", "You are hearth. " * 20, (), {"temperature": 0.7}, 8192)
    transcript = create_transcript(folder, frame, datetime.now())
    outputs = Outputs(folder / "outputs", longest_output(known))
    model, turn = CountingModel(window, Looker()), Turn()
    context = Context(transcript, model, window=known, keep=outputs.keep)

    async def ask() -> int:
        return window

    transcript.begin_turn("Look at all the figures and say which are wrong.")
    tools = Portions(Reader(outputs, KINDS[kind], prose), context.portion)
    fitted = FittedModel(model, context, ask)
    await run_turn(fitted, tools, context, Trusting(), lambda event: None, STEPS + 5, turn)
    transcript.close()
    return turn, model.refused


@pytest.mark.slow
@pytest.mark.parametrize("prose", [0, 10])
@pytest.mark.parametrize("window", [4_096, 8_192, 16_384, 65_536])
@pytest.mark.parametrize("kind", KINDS)
async def test_dense_results_stop_no_session(kind: str, window: int, prose: int, tmp_path: Path) -> None:
    turn, refused = await look_at_all(kind, window, prose, tmp_path)
    assert turn.status == "completed"
    assert refused <= 1


@pytest.mark.slow
@pytest.mark.parametrize("window", [3_072, 4_096, 8_192])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_window_that_is_known_late_is_kept_to(kind: str, window: int, tmp_path: Path) -> None:
    turn, refused = await look_at_all(kind, window, 0, tmp_path, told=False)
    assert turn.status == "completed"
    assert refused <= 1
