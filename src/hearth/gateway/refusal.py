"""What the gateway answers when it cannot do what was asked: one envelope, with its source and what mends it."""

from __future__ import annotations

from shlex import quote
from typing import Any

import msgspec


class Refusal(Exception):
    """An answer that is an error, in OpenAI's envelope with ``source`` and ``fix`` added.

    ``source`` is ``gateway`` or ``engine``: who failed. ``kind`` is OpenAI's ``type``. ``more`` is merged into the
    error object, as the engine's own numbers are.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        code: str,
        message: str,
        *,
        fix: str = "",
        source: str = "gateway",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self._error = {
            **(more or {}),
            "message": message,
            "type": kind,
            "code": code,
            "source": source,
            "fix": fix,
        }

    def envelope(self) -> bytes:
        """The JSON body."""
        return msgspec.json.encode({"error": self._error})

    def event(self, came: int) -> bytes:
        """The same as one event of a stream that has already begun. ``came`` events of an answer went before: who reads
        the stream has its beginning, and is told that it is one."""
        error = {**self._error, "partial": {"events": came}} if came else self._error
        return b"data: " + msgspec.json.encode({"error": error}) + b"\n\n"


def bad_request(code: str, message: str, fix: str = "") -> Refusal:
    """400: the request itself is off."""
    return Refusal(400, "invalid_request_error", code, message, fix=fix)


def engine_lost(model: str, message: str) -> Refusal:
    """502: the engine stopped, or broke off, while it answered. ``message`` names it and says how."""
    return Refusal(
        502,
        "engine_error",
        "engine_lost",
        message,
        fix=f"send the request again, a new engine starts by itself; hearth logs {quote(model)} shows what it said",
        source="engine",
    )


def engine_stuck(model: str, message: str) -> Refusal:
    """504: the engine lives, and does nothing for this request. ``message`` says what was seen."""
    return Refusal(
        504,
        "engine_error",
        "engine_stuck",
        message,
        fix=f"send the request again; hearth logs {quote(model)} shows what the engine said",
        source="engine",
    )


def daemon_stops() -> Refusal:
    """503: the daemon was told to stop."""
    return Refusal(503, "server_error", "daemon_stops", "the daemon was stopped", fix="run the command again")


def from_engine(status: int, body: bytes, model: str = "") -> Refusal:
    """What the engine of the model refused, in its own words and with its own numbers.

    llama.cpp says ``{"error": {"code", "message", "type", ...}}`` with a number as code. The gateway's own key is
    the only one that an engine knows: an engine that does not take it is broken (502), whoever the client is.
    """
    more = _error_of(body)
    message = str(more.get("message") or body[:500].decode("utf-8", "replace") or f"HTTP {status} without a word")
    kind = str(more.get("type") or "engine_error")
    code, fix = kind, ""
    if kind == "exceed_context_size_error":
        code, fix = "context_length_exceeded", f"shorten the prompt, or give the engine more with {_setting(model)}"
    return Refusal(502 if status in (401, 403) else status, kind, code, message, fix=fix, source="engine", more=more)


def _setting(model: str) -> str:
    """What sets the context of a model: ``MODEL@NAME`` runs at one of the owner's other engines."""
    _, at, engine = model.rpartition("@")
    return f"engines.{engine}.context" if at else "HEARTH_CONTEXT and a restart: hearth stop"


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        error = msgspec.json.decode(body)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return {}
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}
