"""What each part of a conversation costs: tokens, and seconds of reading on this machine. Pure: the data of /context.

The total is what the engine counted; how it divides is estimated by the weight of the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hearth.agent.frame import Frame
from hearth.agent.head import read_head
from hearth.agent.masking import PLACEHOLDER
from hearth.agent.meter import IMAGE, MESSAGE, Meter, replay, weigh, weigh_tools
from hearth.agent.opening import find_attachments, find_told, strip_attachments, strip_told
from hearth.agent.steps import calls_by_id
from hearth.messages import Message

ATTACHED = {"map": "map", "file": "files", "folder": "files"}
"""Under which name what is attached to a message is counted."""
HEAD = {"message": "prompts", "file": "files", "files": "files"}
"""Under which name the parts of a shortened conversation are counted; the others are summaries."""


@dataclass(frozen=True, slots=True)
class Item:
    """One part: its tokens, their share of the window (of the total where that is unknown), seconds to read them."""

    name: str
    tokens: int
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Costs:
    """All parts, in the order of the prompt. ``window`` and ``speed`` (tokens a second) are 0 where unknown; ``exact``
    says whether the engine counted the total."""

    session: str
    model: str
    window: int
    total: int
    exact: bool
    speed: float
    items: tuple[Item, ...]

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)


def weigh_context(
    frame: Frame, messages: Sequence[Message], *, window: int = 0, total: int = 0, exact: bool = False, speed: float = 0
) -> Costs:
    """What the parts of a session cost. ``total`` are its tokens, 0 where nobody counted: then they are estimated."""
    weights = {name: weight for name, weight in _weigh_parts(frame, messages).items() if weight}
    whole = sum(weights.values())
    total = total or Meter(0).tokens(whole)
    items = []
    for name, weight in weights.items():
        tokens = round(total * weight / whole)
        items.append(_item(name, tokens, window or total, speed))
    # Rounding must not make the parts differ from the whole.
    if items and (rest := total - sum(item.tokens for item in items)):
        largest = max(range(len(items)), key=lambda index: items[index].tokens)
        items[largest] = _item(items[largest].name, items[largest].tokens + rest, window or total, speed)
    if window:
        items.append(_item("free", max(window - total, 0), window, 0))
    return Costs(frame.session, frame.model, window, total, exact, round(speed, 1), tuple(items))


def costs_of_records(frame: Frame, records: Iterable[dict[str, Any]], window: int = 0) -> Costs:
    """What a session on disk costs: ``records`` are its transcript's (``transcript.read_records``)."""
    meter, messages = Meter(weigh(frame.system) + weigh_tools(frame.tools)), list[Message]()
    whole = list(records)
    replay(meter, whole)
    for record in whole:
        if record["type"] == "rewrite":
            messages = [Message.from_wire(message) for message in record["messages"]]
        elif record["type"] in ("message", "result"):
            messages.append(Message.from_wire(record["message"]))
    return weigh_context(
        frame, messages, window=window, total=meter.count(messages), exact=meter.is_exact(messages), speed=meter.speed
    )


def _item(name: str, tokens: int, whole: int, speed: float) -> Item:
    share = round(tokens / whole, 4) if whole else 0.0
    return Item(name, tokens, share, round(tokens / speed, 1) if speed else 0.0)


def _weigh_parts(frame: Frame, messages: Sequence[Message]) -> dict[str, int]:
    parts = {"guide": 0, "skills": 0}
    for tag, whole in find_told(frame.system):
        parts[tag] += weigh(whole)
    weights = {
        "system": weigh(strip_told(frame.system)) + MESSAGE,
        "guides": parts["guide"],
        "skills": parts["skills"],
        "tools": weigh_tools(frame.tools),
        "map": 0,
        "prompts": 0,
        "files": 0,
        "summaries": 0,
        "images": 0,
        "answers": 0,
        "calls": 0,
        "reasoning": 0,
    }
    calls = {}
    for index, message in enumerate(messages):
        weights["images"] += IMAGE * len(message.images)
        match message.role:
            case "user":
                _weigh_user(message.content, weights, index == 0)
            case "assistant":
                calls = calls_by_id([message])
                weights["answers"] += weigh(message.content) + MESSAGE
                weights["reasoning"] += weigh(message.reasoning)
                weights["calls"] += sum(weigh(call.name) + weigh(call.arguments) for call in message.tool_calls)
            case "tool":
                call = calls.get(message.tool_call_id)
                masked = message.content.startswith(PLACEHOLDER)
                name = "results left out" if masked else f"results of {call.name if call else 'a call'}"
                weights[name] = weights.get(name, 0) + weigh(message.content) + MESSAGE
            case _:
                weights["system"] += weigh(message.content)
    return weights


def _weigh_user(text: str, weights: dict[str, int], first: bool) -> None:
    head = read_head(text) if first else None
    task = head.task if head else text
    attached = find_attachments(task)
    for tag, whole in attached:
        weights[ATTACHED[tag]] += weigh(whole)
    weights["prompts"] += MESSAGE + (weigh(strip_attachments(task)) if attached else weigh(task))
    for word, body in head.sections if head else ():
        weights[HEAD.get(word, "summaries")] += weigh(body)
