"""A session as one HTML file: no script, nothing from elsewhere, light and dark as the reader has it: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from hearth.agent.export import STATUS, argument_lines, call_names
from hearth.agent.replay import PastTurn
from hearth.agent.sessions import PastSession
from hearth.messages import Message

STYLE = """
:root { color-scheme: light dark; --paper: #fdfcfa; --ink: #22201d; --soft: #6d675f; --line: #ddd7cd; --block: #f3f0ea;
 --mark: #a4501f; --bad: #a02020 }
@media (prefers-color-scheme: dark) { :root { --paper: #191817; --ink: #e6e2db; --soft: #9b948a; --line: #3a3733;
 --block: #232120; --mark: #e08a52; --bad: #f08080 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 52rem; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
 font: 1rem/1.55 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; color: var(--soft) }
.about, .how { color: var(--soft); font-size: .9rem }
.prompt { border-left: 3px solid var(--mark); padding: .25rem 0 .25rem 1rem; margin: .5rem 0 1rem }
.text, .prompt { white-space: pre-wrap; overflow-wrap: anywhere }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; background: var(--block) }
summary { cursor: pointer; padding: .35rem .75rem; font-family: ui-monospace, monospace; font-size: .85rem;
 overflow-wrap: anywhere }
pre { margin: 0; padding: .5rem .75rem; border-top: 1px solid var(--line); overflow-x: auto; font-size: .85rem;
 font-family: ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
.failed summary { color: var(--bad) }
img { max-width: 100% }
"""
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
LONGEST_SUMMARY = 120


def to_html(session: PastSession) -> str:
    """The session as one page."""
    frame = session.frame
    title = escape(session.title)
    about = f"Session {session.id}, {session.created or 'at an unknown time'}, with {frame.model} in {frame.directory}"
    body = [f"<h1>{title}</h1>", f'<p class="about">{escape(about)}</p>']
    for number, turn in enumerate(session.past.turns, 1):
        body += [f'<section><h2 id="turn-{number}">{number}</h2>', *_turn(turn), "</section>"]
    page = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
            f"<title>{title}</title>",
            f"<style>{STYLE}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )
    page = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "�", page)
    return page.encode("utf-8", errors="replace").decode("utf-8")


def _turn(turn: PastTurn) -> Iterator[str]:
    calls = call_names(turn)
    for place, said in enumerate(turn.said):
        message = said.message
        match message.role:
            case "tool":
                name = calls[place].name if place in calls else "a call"
                took = f", {said.seconds:.1f} s" if said.seconds >= 0.1 else ""
                head = f"{name} failed{took}" if said.failed else f"result of {name}{took}"
                yield _block(head, message.content, "failed" if said.failed else "")
            case "user":
                yield f'<div class="prompt">{escape(message.content)}</div>'
            case _:
                yield from _answer(message)
        yield from _pictures(message)
    if turn.partial:
        yield f'<div class="text">{escape(turn.partial)}</div>'
    if word := STATUS.get(turn.status, turn.status):
        yield f'<p class="how">{escape(word)}</p>'


def _answer(message: Message) -> Iterator[str]:
    if message.reasoning.strip():
        yield _block("reasoning", message.reasoning)
    if message.content.strip():
        yield f'<div class="text">{escape(message.content.strip())}</div>'
    for call in message.tool_calls:
        lines = list(argument_lines(call))
        first = " ".join(lines[0][1].split()) if lines else ""
        head = f"{call.name} {first}"
        text = "\n".join(f"{name}: {value}" if name else value for name, value in lines)
        yield _block(head if len(head) <= LONGEST_SUMMARY else f"{head[: LONGEST_SUMMARY - 1]}…", text)


def _pictures(message: Message) -> Iterator[str]:
    for image in message.images:
        if _PICTURE.fullmatch(image):
            yield f'<img alt="" src="{image}">'


def _block(head: str, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f"<details{name}><summary>{escape(head)}</summary><pre>{escape(text)}</pre></details>"
