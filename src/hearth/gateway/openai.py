"""OpenAI's API, chat and raw completions: what is asked, decided without I/O, and the list of models."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from hearth.gateway.refusal import Refusal, bad_request
from hearth.weights.template import Template

MODELS_PATH = "/v1/models"
CHAT_PATH = "/v1/chat/completions"
RAW_PATH = "/v1/completions"
PRIORITIES = ("interactive", "subagent", "batch")
"""Who waits for whom before a slot: earlier ones go first. Header ``X-Hearth-Priority``."""


class _Message(msgspec.Struct):
    content: Any = None


class _Chat(msgspec.Struct):
    messages: list[_Message]
    model: str | None = None
    stream: bool | None = None
    n_discard: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Raw(msgspec.Struct):
    prompt: str
    model: str | None = None
    stream: bool | None = None
    n_discard: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Asked(msgspec.Struct, frozen=True):
    """A question that may go to an engine. ``body`` is what the client sent, byte for byte; ``raw`` says that its
    prompt is text and no chat; ``rank`` is who waits for whom before a slot, the lower first."""

    model: str
    stream: bool
    body: bytes
    raw: bool = False
    rank: int = 0


def read_chat(body: bytes, *, default_model: str, trusted: bool, priority: str = "") -> Asked:
    """Read the little that the gateway must know, and refuse what must not reach an engine.

    A model by its path is for the unix socket (``trusted``) only, unless it is the owner's own default. ``n_discard``
    has been a way to write out of bounds (CVE-2026-21869). An image or a sound by URL would make the engine fetch it,
    or read a file of the owner's.
    Raises Refusal.
    """
    chat = _decode(_CHAT, body)
    if not chat.messages:
        raise bad_request("invalid_body", "the request is off: messages is empty")
    for message in chat.messages:
        if isinstance(message.content, list) and (url := _foreign_url(message.content)):
            raise bad_request("refused_url", f"media by URL is not fetched: {url[:100]}", "send it as a data: URL")
    return _asked(chat, body, default_model, priority, trusted=trusted)


def read_raw(body: bytes, *, default_model: str, trusted: bool, priority: str = "") -> Asked:
    """Read a completion whose prompt is one text; refuse what must not reach an engine, as ``read_chat`` does.

    A prompt that is an object is refused by its type: llama.cpp takes media in one. Raises Refusal.
    """
    raw = _decode(_RAW, body)
    if not raw.prompt:
        raise bad_request("invalid_body", "the request is off: prompt is empty")
    return _asked(raw, body, default_model, priority, trusted=trusted)


def with_slot(body: bytes, slot: int) -> bytes:
    """The same request, to be answered in this slot. The field goes to the end, where it counts even if the client
    has sent one: of two, llama.cpp takes the last."""
    end = body.rindex(b"}")
    return b'%s,"id_slot":%d}' % (body[:end], slot)


_CHAT = msgspec.json.Decoder(_Chat)
_RAW = msgspec.json.Decoder(_Raw)
_Body = TypeVar("_Body", _Chat, _Raw)


def _decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    try:
        asked = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_request("invalid_body", f"the request is off: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request("invalid_json", f"the body is not JSON: {error}") from error
    if asked.n_discard is not msgspec.UNSET:
        raise bad_request("refused_field", "n_discard is not taken", "leave it out")
    return asked


def _asked(read: _Chat | _Raw, body: bytes, default_model: str, priority: str, *, trusted: bool) -> Asked:
    model = read.model or default_model
    if not trusted and model != default_model and PurePath(model).is_absolute():
        raise Refusal(403, "permission_error", "model_path", "a model by its path is for the unix socket only")
    if priority not in ("", *PRIORITIES):
        what = f"X-Hearth-Priority is {priority[:50]!r}"
        raise bad_request("invalid_priority", what, f"one of {', '.join(PRIORITIES)}, or leave it out")
    rank = PRIORITIES.index(priority) if priority else 0
    return Asked(model=model, stream=bool(read.stream), body=body, raw=isinstance(read, _Raw), rank=rank)


def _foreign_url(parts: Iterable[object]) -> str:
    """The first URL in these content parts that is not inline data; empty when there is none."""
    for part in parts:
        for name, holder in part.items() if isinstance(part, dict) else ():
            url = holder.get("url") if isinstance(holder, dict) else holder if name.endswith("url") else None
            if isinstance(url, str) and url and not url.startswith("data:"):
                return url
    return ""


def unknown_model(name: str, known: Iterable[str]) -> Refusal:
    """404: no such model."""
    names = ", ".join(known)
    return Refusal(
        404,
        "invalid_request_error",
        "model_not_found",
        f"there is no model {name[:200]!r}",
        fix=f"there are: {names}" if names else "there are none: hearth models list says where they belong",
    )


def list_models(
    names: Iterable[str], known: Mapping[str, int], loaded: Container[str], templates: Mapping[str, Template]
) -> dict[str, Any]:
    """OpenAI's list. ``templates`` maps the models to their chat templates, as far as they were read."""
    return {
        "object": "list",
        "data": [list_model(name, known.get(name), name in loaded, templates.get(name)) for name in names],
    }


def list_model(
    name: str, context: int | None, loaded: bool, template: Template | None, planned: int | None = None
) -> dict[str, Any]:
    """One model as OpenAI lists it. ``context`` are the tokens that one request may hold, as its engine said when it
    last ran, None for the others: what a model was trained for is not what this machine gives it. ``planned`` are
    those that it would be loaded with now, None where that was not asked or cannot be told. ``hearth`` is what its
    chat template shows, null where that is not known; images are taken by none of this disk's models."""
    about = None
    if template:
        about = {
            "template": template.digest,
            "markers": template.markers,
            "tools": template.tools,
            "reasoning": template.reasoning,
            "vision": False,
        }
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "hearth",
        "context_length": context,
        "context_planned": planned,
        "loaded": loaded,
        "hearth": about,
    }
