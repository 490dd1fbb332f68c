"""Generated conversations as the loop makes them: every call has its result, users and answers alternate."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from hearth.messages import Message, ToolCall

WORDS = st.text(alphabet="ab é\n[]{}0123456789", max_size=40)
LONG = st.builds(lambda text, times: (text or "x") * times, WORDS, st.integers(1, 200))
PATHS = st.sampled_from(["a.py", "src/b.py", "ä ö.txt", "gone.txt"])


@st.composite
def steps(draw: st.DrawFn) -> list[Message]:
    """One answer with calls and their results; all ids are the same in each answer, as some servers give them."""
    count = draw(st.integers(1, 3))
    names = draw(st.lists(st.sampled_from(["read", "write", "bash"]), min_size=count, max_size=count))
    arguments = [json.dumps({"path": draw(PATHS), "content": draw(LONG)}) for _ in names]
    pairs = zip(names, arguments, strict=True)
    calls = tuple(ToolCall(f"c{number}", name, text) for number, (name, text) in enumerate(pairs))
    results = [Message("tool", draw(LONG), tool_call_id=call.id) for call in calls]
    return [Message("assistant", draw(WORDS), calls, reasoning=draw(WORDS)), *results]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns of one session; it ends where a request is made: with a user's message or with results."""
    messages = [Message("user", draw(LONG))]
    for _ in range(draw(st.integers(0, 3))):
        for step in draw(st.lists(steps(), max_size=6)):
            messages += step
        messages += [Message("assistant", draw(WORDS) or "done"), Message("user", draw(LONG))]
    for step in draw(st.lists(steps(), max_size=6)):
        messages += step
    return messages
