"""The append-only rule: what was sent stays sent, byte for byte, also across an interruption and a resume."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.agent.approval import Gate
from hearth.agent.equipment import make_toolbox
from hearth.agent.frame import Frame
from hearth.agent.session import Session
from hearth.agent.transcript import Transcript, create_transcript, open_transcript
from hearth.events import Finished, Rewritten, Text, ToolCalled
from hearth.llm.answer import Failed, Truncated
from hearth.llm.profile import PILOT, Profile, profile_for
from hearth.llm.scripted import Line, ScriptedModel, Stall
from hearth.messages import Message, ToolCall, Usage
from made_session import make_session

STANDARD = profile_for("standard")
TEXT = st.text(max_size=30)
NAMES = st.sampled_from(["a.py", "src/b.py", "ä ö.txt", "../out", "missing", "."])


def arguments(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.fixed_dictionaries(fields).map(lambda value: json.dumps(value, ensure_ascii=False))


CALLS = st.one_of(
    st.tuples(st.just("read"), arguments(path=NAMES)),
    st.tuples(st.just("write"), arguments(path=NAMES, content=TEXT)),
    st.tuples(st.just("edit"), arguments(path=NAMES, old=TEXT, new=TEXT)),
    st.tuples(st.just("grep"), arguments(pattern=TEXT)),
    st.tuples(st.just("glob"), arguments(pattern=st.just("**/*.py"))),
    st.tuples(st.just("bash"), arguments(command=st.sampled_from(["ls", "printf '\\377\\0\\033[1mx'", "exit 3"]))),
    st.tuples(st.sampled_from(["read", "unknown"]), TEXT),
).map(lambda pair: ToolCall("call_0", *pair))
ANSWERS = st.builds(
    Message, st.just("assistant"), TEXT, st.lists(CALLS, min_size=1, max_size=3).map(tuple), reasoning=TEXT
)
RESTS: st.SearchStrategy[Line] = st.one_of(
    st.builds(Message, st.just("assistant"), TEXT, reasoning=TEXT),
    st.just(Failed("engine", "it died")),
    st.builds(Stall, TEXT.filter(bool)),
)
CUTS = st.builds(Truncated, st.builds(Message, st.just("assistant"), TEXT), st.just(Usage()))
TURNS = st.tuples(TEXT, st.lists(st.one_of(ANSWERS, CUTS), max_size=4), RESTS, st.booleans())


async def play_turn(session: Session, prompt: str, stalls: bool, in_call: bool) -> bool:
    """One turn; a stalling model, and now and then a running call, is interrupted. Whether the history was rewritten,
    as it is for a model that makes one call five times."""
    seen, rewritten = None, False
    async for event in session.turn(prompt):
        seen = event
        rewritten = rewritten or isinstance(event, Rewritten)
        if (stalls and isinstance(event, Text)) or (in_call and isinstance(event, ToolCalled)):
            session.interrupt()
    assert isinstance(seen, Finished)
    return rewritten


async def play(profile: Profile, turns: Iterable[tuple[str, list[Line], Line, bool]], home: Path) -> list[bytes]:
    """Play the turns, each in a session that is opened anew; the bytes of every request, up to a turn in which the
    history was rewritten: that says so."""
    project = home / "project"
    project.mkdir()
    (project / "a.py").write_text("x = 1\n")
    toolbox = make_toolbox(profile.tools, project)
    frame = Frame("s", str(project), "m", profile.name, profile.system, toolbox.specs, profile.sampling, 512)
    transcript: Transcript | None = None
    bodies: list[bytes] = []
    for prompt, answers, rest, in_call in turns:
        transcript = open_transcript(home, "s") if transcript else create_transcript(home, frame, datetime.now())
        model = ScriptedModel([*answers, rest])
        session = make_session(model, Gate(toolbox, "auto", None), transcript)
        rewritten = await play_turn(session, prompt, isinstance(rest, Stall), in_call)
        await session.close()
        if rewritten:
            return bodies
        bodies += model.bodies
    return bodies


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([PILOT, STANDARD]), st.lists(TURNS, min_size=1, max_size=3))
def test_every_request_begins_with_the_one_before(
    profile: Profile, turns: list[tuple[str, list[Line], Line, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as home:
        bodies = asyncio.run(play(profile, turns, Path(home)))
    for earlier, later in itertools.pairwise(bodies):
        assert earlier.endswith(b"}]}")
        # Stronger than the rule asks: the last message stays as it was, too.
        assert later.startswith(earlier[:-2] + b",")


def test_no_user_message_follows_another_and_every_call_has_its_result(tmp_path: Path) -> None:
    calls = (ToolCall("a", "bash", '{"command": "sleep 30"}'), ToolCall("b", "read", "{}"))
    turns: list[tuple[str, list[Line], Line, bool]] = [
        ("one", [], Stall("x"), False),
        ("two", [Message("assistant", "", calls)], Stall(), True),
        ("three", [], Message("assistant", "done"), False),
    ]
    bodies = asyncio.run(play(STANDARD, turns, tmp_path))
    said = json.loads(bodies[-1])["messages"]
    assert [message["role"] for message in said] == (
        ["system", "user", "assistant", "user", "assistant", "tool", "tool", "assistant", "user"]
    )
    assert [message["tool_call_id"] for message in said if message["role"] == "tool"] == ["a", "b"]
