"""What engines say when they refuse, in llama-server's words: one shape, and a prompt that is too long is always told
apart, with its numbers where the engine gives them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

Json = dict[str, Any]

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "unavailable_error",
    501: "not_supported_error",
    503: "unavailable_error",
}

# Each with the groups ``prompt`` and ``context``, where the engine tells them; both in tokens.
_OVERFLOWS = [
    re.compile(text, re.IGNORECASE | re.DOTALL)
    for text in (
        # llama-server, and Ollama from 0.30 on, which passes its words on
        r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<context>\d+) tokens\)",
        r"exceeds? the available context size",
        # vLLM, since 0.15
        r"you passed (?:at least )?(?P<prompt>\d+) input tokens.*context length is only (?P<context>\d+)",
        # vLLM before, and its front end in Rust
        r"maximum context length is (?P<context>\d+) tokens.*?\((?P<prompt>\d+) in the (?:messages|prompt)",
        r"maximum context length is (?P<context>\d+) tokens.*?(?:has|contains|resulted in) (?P<prompt>\d+) "
        r"(?:input )?tokens",
        r"prompt \(length (?P<prompt>\d+)\) is longer than the maximum model length of (?P<context>\d+)",
        r"maximum context length is (?P<context>\d+) tokens",
        # Ollama's own
        r"the prompt is longer than the context length",
        r"input length exceeds (?:the )?(?:maximum )?context length",
    )
]


def error_body(code: int, message: str, kind: str = "", **more: Any) -> bytes:
    """An error as llama-server writes it. ``kind`` follows from the code when it is empty."""
    kind = kind or _KINDS.get(code, "server_error" if code >= 500 else "invalid_request_error")
    return msgspec.json.encode({"error": {"code": code, "message": message, "type": kind, **more}})


def error_event(code: int, message: str, **more: Any) -> bytes:
    """The same as an event of a stream."""
    return b"data: " + error_body(code, message, **more) + b"\n\n"


def translate_refusal(status: int, body: bytes, context: int) -> tuple[int, bytes]:
    """Status and body of an engine's refusal in llama-server's shape. ``context`` is what one request may hold, in
    tokens, for engines that do not tell it."""
    error = find_error(body)
    message = str(error.get("message") or f"HTTP {status} without a word")
    if found := find_overflow(error, message, context):
        return 400, error_body(400, message, "exceed_context_size_error", **found)
    kind = error.get("type")
    known = kind if isinstance(kind, str) and kind in _KINDS.values() else ""
    return status, error_body(status, message, known)


def translate_broken(error: object, context: int) -> bytes:
    """The event for an error in the middle of a stream."""
    found = find_error(msgspec.json.encode({"error": error}))
    message = str(found.get("message") or "the engine broke off without a word")
    code = found.get("code")
    if more := find_overflow(found, message, context):
        return b"data: " + error_body(400, message, "exceed_context_size_error", **more) + b"\n\n"
    return error_event(code if isinstance(code, int) and 400 <= code < 600 else 500, message)


def find_error(body: bytes) -> Json:
    """The error object in a refusal, however it is wrapped: ``{"error": {...}}``, ``{"error": "text"}``, a text that is
    itself such a body (Ollama, which passes its runner's words on), ``{"detail": ...}``, a bare object, or any text."""
    text = body
    for _ in range(4):
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        inner = found.get("error", found.get("detail", found))
        if isinstance(inner, dict):
            message = inner.get("message")
            if not (isinstance(message, str) and message.lstrip().startswith("{")):
                return inner
            inner = message
        if not isinstance(inner, str):
            return {"message": msgspec.json.encode(inner).decode()[:500]}
        text = inner.encode()
    return {"message": text[:500].decode("utf-8", "replace").strip()}


def find_overflow(error: Json, message: str, context: int) -> Json:
    """``n_prompt_tokens`` and ``n_ctx`` of a prompt that was too long, the first only where the engine told it; empty
    when this error is another."""
    told = {name: error[name] for name in ("n_prompt_tokens", "n_ctx") if isinstance(error.get(name), int)}
    for pattern in _OVERFLOWS:
        if match := pattern.search(message):
            groups = {name: int(text) for name, text in match.groupdict().items() if text and len(text) < 16}
            read = {"n_prompt_tokens": groups.get("prompt"), "n_ctx": groups.get("context", context)}
            return {**{name: value for name, value in read.items() if value}, **told}
    if error.get("type") == "exceed_context_size_error" or error.get("code") == "context_length_exceeded":
        return {"n_ctx": context, **told}
    return {}
