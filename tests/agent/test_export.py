"""Documents made of sessions: whole, readable, and harmless to who opens them."""

import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.agent.export import fence, to_json, to_markdown
from hearth.agent.export_html import to_html
from hearth.agent.frame import Frame
from hearth.agent.replay import Replay
from hearth.agent.sessions import PastSession, read_session
from hearth.agent.transcript import create_transcript
from hearth.messages import Message, ToolCall
from hearth.tools.tool import ToolResult

MARKDOWN = """\
# Mend \\*it\\*

Session s, 2026-11-23T04:15:00, with m in `/p`.

## 1. Mend \\*it\\*

> Mend *it*
> please

<details><summary>Reasoning</summary>

```text
I look
```

</details>

First I look.

**Call** of `edit`

````text
path: a.md
old:
```
x
```
count: 2
````

**Failed** of `edit`

````text
not edited: ```
````

Done.

## 2. go on

> go on

I was abo

*The turn failed.*
"""


@pytest.fixture
def session(tmp_path: Path) -> PastSession:
    transcript = create_transcript(
        tmp_path, Frame("s", "/p", "m", "x", "be good", (), {}, 64), datetime(2026, 11, 23, 4, 15)
    )
    transcript.begin_turn("Mend *it*\nplease")
    arguments = json.dumps({"path": "a.md", "old": "```\nx\n```", "count": 2})
    call = ToolCall("c1", "edit", arguments)
    transcript.add(Message("assistant", "First I look.", (call,), reasoning="I look"))
    transcript.begin_call(call)
    transcript.end_call(call, ToolResult("not edited: ```\n", failed=True), 1.25)
    transcript.add(Message("assistant", "Done."))
    transcript.end_turn("completed", "")
    transcript.begin_turn("go on")
    transcript.end_turn("failed", "I was abo")
    transcript.close()
    return read_session(tmp_path, "s")


def test_markdown(session: PastSession) -> None:
    assert to_markdown(session) == MARKDOWN


def test_json(session: PastSession) -> None:
    whole = json.loads(to_json(session))
    assert {name: whole[name] for name in ("session", "title", "model", "directory", "system")} == {
        "session": "s",
        "title": "Mend *it*",
        "model": "m",
        "directory": "/p",
        "system": "be good",
    }
    first, second = whole["turns"]
    assert first["status"] == "completed"
    assert [message["role"] for message in first["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert first["messages"][2] == {
        "role": "tool",
        "content": "not edited: ```\n",
        "tool_call_id": "c1",
        "failed": True,
        "changed": [],
        "seconds": 1.25,
    }
    assert (second["status"], second["partial"]) == ("failed", "I was abo")


def test_html(session: PastSession) -> None:
    page = to_html(session)
    assert "<title>Mend *it*</title>" in page
    assert '<div class="prompt">Mend *it*\nplease</div>' in page
    assert "<details><summary>reasoning</summary><pre>I look</pre></details>" in page
    assert "<summary>edit a.md</summary><pre>path: a.md\nold: ```\nx\n```\ncount: 2</pre>" in page
    assert '<details class="failed"><summary>edit failed, 1.2 s</summary><pre>not edited: ```\n</pre>' in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"<script|https?://|\bon\w+=|@import|url\(", page)
    assert "default-src 'none'" in page


class Tags(HTMLParser):
    """What elements a page has, and with which attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


NASTY = st.one_of(
    st.text(),
    st.sampled_from(
        [
            "</pre><script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "\x00\x1b[2J",
            "\ud800",
            "````\n```",
            "-->",
        ]
    ),
)
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "div", "details", "summary"}


@settings(max_examples=60, deadline=None)
@given(NASTY, NASTY, NASTY, NASTY, NASTY)
def test_whatever_was_said_is_only_shown(prompt: str, answer: str, name: str, arguments: str, picture: str) -> None:
    past = Replay()
    call = ToolCall("c", name, arguments)
    messages = [
        Message("user", prompt, images=(picture, f"data:image/png;base64,{picture}")),
        Message("assistant", answer, (call,), reasoning=answer),
        Message("tool", answer, tool_call_id="c"),
    ]
    for message in messages:
        record = {"type": "message", "message": message.to_wire()}
        past.feed({**record, "prompt": prompt} if message.role == "user" else record)
    frame = Frame("s", f"/{name}", answer, "x", prompt, (), {}, 64)
    session = PastSession(Path("s.jsonl"), frame, [{"type": "session"}], past)
    page = to_html(session)
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert {tag for tag, _ in tags.found} <= ALLOWED | {"pre", "img"}
    assert {attribute for tag, found in tags.found for attribute in found} <= {
        *("lang", "charset", "name", "content", "http-equiv", "class", "id", "src", "alt")
    }
    assert sum(tag == "details" for tag, _ in tags.found) >= 2
    for text in (page, to_markdown(session), to_json(session)):
        text.encode("utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)
    assert len(json.loads(to_json(session))["turns"]) == 1


def test_pictures_are_shown_when_they_are_in_the_session(session: PastSession) -> None:
    good = "data:image/png;base64,iVBORw0KGgo="
    images = (good, "data:text/html,<b>", "https://example.org/x.png")
    session.past.turns[0].said[0] = type(session.past.turns[0].said[0])(Message("user", "see", images=images))
    page = to_html(session)
    assert page.count("<img") == 1
    assert f'src="{good}"' in page
    assert "*3 images*" in to_markdown(session)


@given(st.text("`ab\n", max_size=40))
def test_a_fence_holds_any_text(text: str) -> None:
    first, *inner, last = fence(text).split("\n")
    assert first == f"{last}text"
    assert "\n".join(inner) == text.rstrip()
    assert all(last not in line for line in inner)
