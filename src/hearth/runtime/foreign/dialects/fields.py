"""The fields of a chat request to llama-server, by what becomes of them at an engine that does not know them."""

from __future__ import annotations

from typing import Any

import msgspec

from hearth.runtime.dialect import Untranslatable

Json = dict[str, Any]

DROPPED = frozenset(
    {
        # How the answer is told or cached, not what it says.
        "cache_prompt", "id_slot", "n_cache_reuse", "return_progress", "return_tokens", "timings_per_token", "verbose",
        "sse_ping_interval", "n_keep", "min_keep", "post_sampling_probs", "response_fields", "parse_tool_calls",
        "grammar_lazy", "grammar_triggers", "preserved_tokens", "backend_sampling",
        # Of a feature that is off unless its main field is given, which is looked at below.
        "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers", "xtc_threshold",
        "mirostat_tau", "mirostat_eta", "dynatemp_exponent", "adaptive_decay",
        # Of OpenAI's own service.
        "store", "metadata", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    }
)  # fmt: skip
"""May be left out: the answer stays the same."""

NEUTRAL: dict[str, tuple[object, ...]] = {
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "mirostat": (0,),
    "dynatemp_range": (0,),
    "top_n_sigma": (-1, 0),
    "adaptive_target": (-1,),
    "n_probs": (0,),
    "n_indent": (0,),
    "t_max_predict_ms": (0, -1),
    "grammar": ("",),
    "samplers": ([],),
    "lora": ([],),
    "reasoning_format": ("auto", "deepseek"),
    "reasoning_budget": (-1,),
    "thinking_budget_tokens": (-1,),
}
"""Fields of llama-server alone that change the answer, each with the values at which they do not."""


def read_request(body: bytes) -> Json:
    """The client's request, a chat or a raw completion. Raises Untranslatable when it is neither."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Untranslatable(f"the request is not JSON: {error}") from error
    if not isinstance(request, dict) or not (
        isinstance(request.get("messages"), list) or isinstance(request.get("prompt"), str)
    ):
        raise Untranslatable("the request is off: messages is no list, and prompt no text")
    return request


def write_request(request: Json) -> bytes:
    """As bytes again. Raises Untranslatable when it holds what JSON cannot."""
    try:
        return msgspec.json.encode(request)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise Untranslatable(f"the request cannot be passed on: {error}") from error


def refuse_fields(request: Json, engine: str, neutral: dict[str, tuple[object, ...]]) -> None:
    """Raise Untranslatable for the first field that asks for what ``engine`` cannot do."""
    for name, harmless in neutral.items():
        value = request.get(name)
        if value is not None and value not in harmless:
            raise Untranslatable(f"{engine} cannot do what {name} asks for; leave it out, or ask another engine")


def schema_of(request: Json) -> object:
    """The JSON schema that the answer must fit: True when any JSON will do, None when none is asked for. It comes as
    OpenAI's ``response_format`` or in llama-server's own ways."""
    if request.get("json_schema") is not None:
        return request["json_schema"]
    form = request.get("response_format")
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return form.get("schema") or True
    if kind == "json_schema":
        inner = form.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else form.get("schema")
        return True if schema is None else schema
    raise Untranslatable(f"response_format {form!r} is not known"[:200])


def token_limit(request: Json) -> int | None:
    """The most tokens of the answer; None when there is no limit but the context."""
    for name in ("max_completion_tokens", "max_tokens", "n_predict"):
        limit = request.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
            return limit
    return None
