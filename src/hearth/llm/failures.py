"""Say in one line what an endpoint's error means and what mends it: pure."""

from __future__ import annotations

import re

import msgspec

from hearth.llm.answer import Failed

_TOO_LONG = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"request \((?P<asked>\d+) tokens\) exceeds the available context size \((?P<window>\d+)",
        r"passed (?:at least )?(?P<asked>\d+) input tokens.*context length is only (?P<window>\d+)",
        r"maximum context length is (?P<window>\d+) tokens.*?(?P<asked>\d+) (?:in the (?:messages|prompt)|input tok)",
        r"maximum context length is (?P<window>\d+) tokens",
        r"context length of only (?P<window>\d+) tokens",
    )
)
"""How llama-server, vLLM and LM Studio say that a request is too long, where their error has no fields for it."""


class _Error(msgspec.Struct):
    """The error object of llama-server and of our gateway, which adds ``source`` and ``fix``."""

    message: str = ""
    type: str | None = None
    code: int | str | None = None
    source: str | None = None
    fix: str | None = None
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Body(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"{}")


def failure_from_status(status: int, body: bytes, location: str = "") -> Failed:
    """What an HTTP status other than 200 means. ``location`` is where a redirect leads: it is never followed, for a
    conversation goes to nobody but whom its owner named."""
    if 300 <= status < 400:
        reason = f"the endpoint redirects (HTTP status {status}) to {location or 'no address'}"
        return Failed("gateway", reason, "set HEARTH_URL to an address that answers itself")
    try:
        raw = bytes(msgspec.json.decode(body, type=_Body).error)
    except (msgspec.DecodeError, UnicodeError):
        raw = msgspec.json.encode(body[:200].decode("utf-8", errors="replace").strip())
    return failure_from_error(raw, status=status)


def failure_from_error(raw: bytes, status: int = 0, partial: str = "") -> Failed:
    """What an error object (or a plain string) means, in an HTTP body or in the middle of a stream."""
    error = _read(raw)
    code = status or (error.code if isinstance(error.code, int) else 0)
    source = error.source if error.source in ("gateway", "engine") else _guess_source(code)
    said = error.message or (f"HTTP status {code}" if code else "an error without a word")
    asked, window = _sizes(error)
    reason, fix, exit_code = _explain(error, code, said)
    return Failed(source, reason, error.fix or fix, exit_code, partial, asked, window)


def _read(raw: bytes) -> _Error:
    for kind in (_Error, str):
        try:
            found = msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, UnicodeError):
            continue
        return found if isinstance(found, _Error) else _Error(message=str(found))
    return _Error(message=raw[:200].decode("utf-8", errors="replace"))


def _sizes(error: _Error) -> tuple[int, int]:
    """Tokens that were asked for and tokens that there are, 0 where it is not about that or nobody tells."""
    if error.n_ctx:
        return error.n_prompt_tokens, error.n_ctx
    for pattern in _TOO_LONG:
        if found := pattern.search(error.message[:2000]):
            groups = found.groupdict()
            return int(groups.get("asked") or 0), int(groups["window"])
    return 0, 0


def _guess_source(code: int) -> str:
    return "gateway" if code in (401, 403, 404, 429) else "engine"


def _explain(error: _Error, code: int, said: str) -> tuple[str, str, int]:
    if error.type == "exceed_context_size_error" or error.n_ctx:
        asked = f"{error.n_prompt_tokens:,} tokens" if error.n_prompt_tokens else "more tokens"
        reason = f"the conversation has {asked}, the model's context holds {error.n_ctx:,}" if error.n_ctx else said
        return reason, "start a new session, or give the engine more with HEARTH_CONTEXT", 1
    before, fix, exit_code = _STATUS.get(code) or (_REFUSED if 400 <= code < 500 else _BROKEN)
    # Our gateway's own words name the source already.
    return said if error.source else f"{before}: {said}", fix, exit_code


_STATUS = {
    401: ("the endpoint wants another API key", "set HEARTH_API_KEY", 4),
    403: ("the endpoint refuses this request", "ask its owner for a key that may do it", 5),
    404: ("the endpoint does not know this model or path", "run: hearth models list", 4),
    429: ("the endpoint has too much to do", "try again later", 4),
}
_REFUSED = ("the endpoint refused the request", "", 1)
_BROKEN = ("the engine failed", "run: hearth logs", 4)
