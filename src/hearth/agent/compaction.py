"""A conversation made shorter: task, later messages, decisions, files, summary, and the last steps as they were: pure.

Calls and their results stay together; the parts alternate as chat templates want it: one message of the user first,
then answers with their results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hearth.agent.head import Head, Section, disarm, read_head
from hearth.agent.loop import CUT_NOTE
from hearth.agent.masking import Keep, kept_name
from hearth.agent.meter import MESSAGE, weigh, weigh_all, weigh_message
from hearth.agent.opening import strip_attachments
from hearth.agent.steps import (
    Step,
    file_of,
    join_steps,
    label_call,
    pair_results,
    shorten,
    split_steps,
    touched_files,
)
from hearth.messages import Message
from hearth.tools.truncate import keep_ends

TASK, LAST_MESSAGE, TAIL, SUMMARY, MESSAGES, DECISIONS, FILES, PLAN = 0.35, 0.2, 0.3, 0.25, 0.1, 0.16, 0.2, 0.1
"""Most that each part may take of the room; the tail then gets what the others left."""
TODO_TOOL = "todo"
SLACK = 12 * MESSAGE
"""Weight that the marks of a head may take more in one try than in the next."""
LONGEST_DECISION = 300
LONGEST_OUTCOME = 80
MOST_FILES = 30
SMALLEST_PIECE = 200
"""Characters below which a cut text says nothing."""
Look = Callable[[str], str | None]
"""The text of a project file as it is now, None if there is none."""


@dataclass(frozen=True, slots=True)
class Room:
    """``weight`` is what all messages together may have (``meter.weigh``); ``summary`` is empty when nobody wrote one,
    ``note`` is for the model: why it starts afresh. Without ``tail`` no step stays. ``todo`` is what is open on its
    list."""

    weight: int
    summary: str = ""
    note: str = ""
    tail: bool = True
    todo: tuple[str, ...] = ()


def compact(messages: Sequence[Message], room: Room, look: Look, keep: Keep) -> list[Message]:
    """The messages that stand for these. Never longer than the room but for one thing: the task that does not fit is
    cut, what is left of it stays whatever the room is."""
    first, steps = messages[0], split_steps(messages[1:])
    old = read_head(first.content)
    task = _fit_task(old.task, int(room.weight * TASK), keep)
    spare = room.weight - weigh(task) - (weigh_message(first) - weigh(first.content))
    tail = _choose_tail(steps, min(int(room.weight * TAIL), spare), keep) if room.tail else []
    head = _write(old, task, steps, tail, room, spare - weigh_all(join_steps(tail)), look)
    # What the head did not need goes to more of the last steps.
    left = spare - weigh(head.write()) + weigh(task) - SLACK
    if room.tail and left > weigh_all(join_steps(tail)):
        tail = _choose_tail(steps, left, keep)
        head = _write(old, task, steps, tail, room, spare - weigh_all(join_steps(tail)), look)
    return [replace(first, content=head.write()), *join_steps(tail)]


def _write(old: Head, task: str, steps: list[Step], tail: list[Step], room: Room, spare: int, look: Look) -> Head:
    """The head for all steps but those of the tail, in at most ``spare`` weight more than the task."""
    dropped = steps[: len(steps) - len(tail)]
    if not dropped and not old.sections and not room.note:
        return Head(task)
    spare -= weigh(Head("", (("note", room.note),), 9_999).write())
    sections: list[Section] = []

    def add(word: str, text: str | list[str], most: float) -> None:
        nonlocal spare
        limit = min(int(room.weight * most), spare - 2 * MESSAGE)
        text = _newest_lines(text, limit) if isinstance(text, list) else cut_text(text, limit) if text else ""
        if text:
            sections.append((word, text))
            spare -= weigh(disarm(text)) + 2 * MESSAGE

    # The last message of the user is what is to be done now: it comes before all else.
    said = [*old.texts("message"), *_later_messages(dropped)]
    if said:
        add("message", said[-1], LAST_MESSAGE)
    if dropped and room.tail and not tail:
        add("last", _tell_step(dropped[-1]), TAIL)
    # The list as it is now, unless the last steps show it.
    if not any(call.name == TODO_TOOL for step in tail for call in step[0].tool_calls):
        add("todo", "\n".join(f"[ ] {item}" for item in room.todo), PLAN)
    # Where nobody wrote a summary, the model's own words along the way and its calls stand in for one.
    share = 1 if room.summary else 2
    add("decisions", [*_lines(old, "decisions"), *_decisions(dropped)], DECISIONS * share)
    add("summary", room.summary or "\n".join(old.texts("summary")), SUMMARY / (3 - share))
    if not room.summary:
        add("calls", [*_lines(old, "calls"), *_calls(dropped)], SUMMARY / 2)
    for text in reversed(said[:-1]):
        add("message", text, MESSAGES)
    touched = {**_old_files(old), **touched_files(join_steps(dropped))}
    add("files", _list_files(touched, look), FILES / 2)
    for name, text in _changed_texts(touched, tail, look):
        if weigh(text) + 4 * MESSAGE < min(spare, int(room.weight * FILES)):
            add("file", f"{name} as it is now:\n{text}", 1)
    if room.note:
        sections.append(("note", room.note))
    return Head(task, _in_order(sections), old.count + len(join_steps(dropped)))


def _in_order(sections: list[Section]) -> tuple[Section, ...]:
    """As one reads it: what the user said, what was done, how it stands; the newest at the end."""
    order = ("message", "summary", "calls", "decisions", "files", "file", "last", "todo", "note")
    oldest_first = [section for section in reversed(sections) if section[0] == "message"]
    others = [section for section in sections if section[0] != "message"]
    return tuple(sorted([*oldest_first, *others], key=lambda section: order.index(section[0])))


def _choose_tail(steps: list[Step], most: int, keep: Keep) -> list[Step]:
    """The last steps that fit, from an answer on. The very last one is cut to fit: the model has not seen it yet."""
    tail: list[Step] = []
    for step in reversed(steps):
        size = weigh_all(step)
        if size > most:
            cut = _cut_results(step, most, keep) if not tail and step[0].role == "assistant" else None
            tail += [cut] if cut else []
            break
        tail.append(step)
        most -= size
    tail.reverse()
    while tail and tail[0][0].role == "user":
        del tail[0]
    return tail


def _cut_results(step: Step, most: int, keep: Keep) -> Step | None:
    """The step with its results cut to fit, None if its calls alone do not."""
    answer, *results = step
    spare = most - weigh_message(answer) - 2 * MESSAGE * len(results)
    if not results or spare < len(results) * SMALLEST_PIECE:
        return None
    share = spare // len(results)
    return (answer, *(replace(result, content=cut_text(result.content, share, keep)) for result in results))


def cut_text(text: str, most: int, keep: Keep | None = None) -> str:
    """Both ends of a text, within a weight; empty when too little would be left."""
    if weigh(text) <= most:
        return text
    # What was cut at birth says at its end where the whole is; the end stays.
    name = keep(text) if keep and not kept_name(text) else ""
    note = f"\n[the whole is in {name}]" if name else ""
    limit = most
    while limit >= SMALLEST_PIECE:
        shown = keep_ends(text, limit) + note
        if weigh(shown) <= most:
            return shown
        limit = min(limit * most // (weigh(shown) + 1), limit - 50)
    return ""


def _fit_task(task: str, most: int, keep: Keep) -> str:
    if weigh(task) <= most:
        return task
    bare = strip_attachments(task)
    # Even where there is no room at all the model must know what it is about.
    return bare if weigh(bare) <= most else cut_text(bare, most, keep) or shorten(bare, SMALLEST_PIECE)


def _later_messages(steps: list[Step]) -> list[str]:
    notes = CUT_NOTE.split("{", 1)[0]
    return [step[0].content for step in steps if step[0].role == "user" and not step[0].content.startswith(notes)]


def _decisions(steps: list[Step]) -> list[str]:
    """What the model said beside its calls: why it did what it did."""
    said = (step[0].content for step in steps if step[0].role == "assistant")
    return [f"- {shorten(text, LONGEST_DECISION)}" for text in said if text.strip()]


def _calls(steps: list[Step]) -> list[str]:
    lines = []
    for step in steps:
        for call, result in pair_results(step):
            outcome = [line for line in result.content.rstrip().splitlines()[-1:] if line]
            told = f": {shorten(outcome[0], LONGEST_OUTCOME)}" if outcome else ""
            lines.append(f"- {label_call(call) if call else 'a call'}{told}")
    return lines


def _tell_step(step: Step) -> str:
    """A step whose calls do not fit, told."""
    pairs = pair_results(step)
    told = [f"{label_call(call) if call else 'a call'} gave:\n{result.content}" for call, result in pairs]
    return "\n".join(["Your last calls:", *told]) if told else ""


def _newest_lines(lines: list[str], most: int) -> str:
    """The last lines that fit, each only once."""
    kept: list[str] = []
    for line in dict.fromkeys(reversed(lines)):
        if (most := most - weigh(line) - 1) < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept))


def _lines(old: Head, word: str) -> list[str]:
    return [line for text in old.texts(word) for line in text.split("\n")]


def _old_files(old: Head) -> dict[str, bool]:
    touched = {}
    for line in reversed(_lines(old, "files")):
        name, _, state = line.removeprefix("- ").rpartition(": ")
        if name:
            touched[name] = state.startswith("changed")
    return touched


def _list_files(touched: dict[str, bool], look: Look) -> str:
    """The files that the session touched, those that it changed first, with what they are now."""
    names = list(touched)[::-1]
    names.sort(key=lambda name: not touched[name])
    lines = []
    for name in names[:MOST_FILES]:
        text = look(name)
        now = f"{text.count(chr(10)) + 1:,} lines now" if text is not None else "not there now"
        lines.append(f"- {name}: {'changed' if touched[name] else 'read'}, {now}")
    return "\n".join(lines)


def _changed_texts(touched: dict[str, bool], tail: list[Step], look: Look) -> list[tuple[str, str]]:
    """The files that were changed, the newest first, but for those that the last steps show."""
    shown = {file_of(call) for step in tail for call in step[0].tool_calls}
    names = [name for name, changed in reversed(touched.items()) if changed and name not in shown]
    found = ((name, look(name)) for name in names[:MOST_FILES])
    return [(name, text) for name, text in found if text]
