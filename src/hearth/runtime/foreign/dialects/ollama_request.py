"""A chat request of llama-server's as Ollama's own ``/api/chat`` takes it.

Its other door, ``/v1/chat/completions``, cannot be told the context: the prompt would be cut to the server's default
without a word. Fields were read in ``api/types.go`` and ``server/routes.go`` of Ollama 0.13 to 0.34.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hearth.runtime.dialect import Untranslatable
from hearth.runtime.foreign.dialects.fields import NEUTRAL, refuse_fields, schema_of, token_limit

Json = dict[str, Any]

KEEP_ALIVE = "30m"
"""How long Ollama keeps the model after a request of ours: not for ever, for a killed daemon cannot give it back."""

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_penalty": "repeat_penalty",
    "repetition_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_UNKNOWN = {
    **NEUTRAL,
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({}, []),
    "ignore_eos": (False,),
    "min_tokens": (0,),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "modalities": (["text"],),
}
_ROLES = {"developer": "system", "function": "tool"}
_THINKING_WORDS = ("enable_thinking", "thinking", "reasoning_effort")


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """A model of an Ollama server, and what it can do by the server's own account.

    ``context`` is the ``num_ctx`` that each request asks for, in tokens. ``thinks_by_level`` is whether it is told how
    much to think (``low``, ``medium``, ``high``) and not whether to.
    """

    name: str
    context: int
    calls_tools: bool = True
    sees: bool = False
    thinks: bool = False
    thinks_by_level: bool = False


def translate_request(asked: Json, model: OllamaModel) -> Json:
    """The request in Ollama's words. Raises Untranslatable for what it cannot do."""
    refuse_fields(asked, "Ollama", _UNKNOWN)
    request: Json = {
        "model": model.name,
        "messages": _messages(asked["messages"], model),
        "stream": bool(asked.get("stream")),
        # Both, or Ollama cuts a prompt that is too long, and drops its beginning while the answer grows.
        "truncate": False,
        "shift": False,
        "keep_alive": KEEP_ALIVE,
        "options": _options(asked, model.context),
    }
    if tools := _tools(asked, model):
        request["tools"] = tools
    schema = schema_of(asked)
    if schema is not None:
        request["format"] = "json" if schema is True else schema
    think = _think(asked, model)
    if think is not None:
        request["think"] = think
    return request


def _options(asked: Json, context: int) -> Json:
    options: Json = {"num_ctx": context}
    for ours, theirs in _OPTIONS.items():
        if asked.get(ours) is not None:
            options[theirs] = asked[ours]
    if (limit := token_limit(asked)) is not None:
        options["num_predict"] = limit
    seed = asked.get("seed")
    if isinstance(seed, int) and seed >= 0:
        options["seed"] = seed
    stop = asked.get("stop")
    if stop:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    return options


def _tools(asked: Json, model: OllamaModel) -> Sequence[object]:
    tools, choice = asked.get("tools") or [], asked.get("tool_choice") or "auto"
    if choice not in ("auto", "none"):
        raise Untranslatable("Ollama cannot be made to call a tool; leave tool_choice at auto")
    if not tools or choice == "none":
        return []
    if not model.calls_tools:
        raise Untranslatable(f"the model {model.name} takes no tools, by Ollama's account")
    return list(tools)


def _think(asked: Json, model: OllamaModel) -> bool | str | None:
    """Ollama's ``think``; None leaves the model as it is, which thinks if it can."""
    extra = asked.get("chat_template_kwargs") or {}
    if not isinstance(extra, dict):
        raise Untranslatable("chat_template_kwargs is no object")
    for name in extra:
        if name not in _THINKING_WORDS:
            raise Untranslatable(f"Ollama's templates take no {name!r} from chat_template_kwargs")
    effort = asked.get("reasoning_effort") or extra.get("reasoning_effort")
    wanted = extra.get("enable_thinking", extra.get("thinking"))
    if not model.thinks or (effort is None and wanted is None):
        return None
    if model.thinks_by_level:
        # These cannot leave it altogether.
        levels = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high", None: "low" if not wanted else None}
        return levels.get(effort, effort if effort in ("low", "medium", "high") else None)
    return effort != "none" if wanted is None else bool(wanted)


def _messages(messages: Sequence[object], model: OllamaModel) -> list[Json]:
    found: list[Json] = []
    names: dict[str, str] = {}
    for message in messages:
        if not isinstance(message, dict):
            raise Untranslatable("a message is no object")
        role = str(message.get("role", ""))
        text, images = _content(message.get("content"), model)
        told: Json = {"role": _ROLES.get(role, role), "content": text}
        if images:
            told["images"] = images
        if thinking := message.get("reasoning_content") or message.get("reasoning"):
            told["thinking"] = thinking
        if calls := message.get("tool_calls"):
            told["tool_calls"] = [_call(call, names) for call in calls]
        if told["role"] == "tool":
            told |= _result(message, names)
        found.append(told)
    return found


def _result(message: Json, names: dict[str, str]) -> Json:
    """To which call a tool's result belongs, by id and by name: templates differ in which they look at."""
    identity = message.get("tool_call_id")
    name = message.get("name") or names.get(identity if isinstance(identity, str) else "")
    return {key: value for key, value in (("tool_call_id", identity), ("tool_name", name)) if value}


def _call(call: object, names: dict[str, str]) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise Untranslatable("a tool call in the messages is no object with a function")
    name, identity, arguments = function.get("name"), call.get("id"), function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments.encode()) if arguments.strip() else {}
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Untranslatable(
                f"Ollama takes the arguments of an earlier call of {name} as an object only, and they are not JSON: "
                f"{error}"
            ) from error
    if not isinstance(arguments, dict):
        raise Untranslatable(f"Ollama takes the arguments of an earlier call of {name} as an object only")
    told: Json = {"function": {"name": name, "arguments": arguments}}
    if isinstance(identity, str):
        told["id"] = identity
        names[identity] = str(name)
    return told


def _content(content: object, model: OllamaModel) -> tuple[str, list[str]]:
    """The text of a message, its parts put together as llama-server does, and its images in base64."""
    if content is None or isinstance(content, str):
        return content or "", []
    texts, images = [], []
    for part in content if isinstance(content, list) else [content]:
        match part:
            case {"type": "text", "text": str() as text}:
                texts.append(text)
            case {"type": "image_url", "image_url": image}:
                images.append(_image(image, model))
            case _:
                kind = part.get("type") if isinstance(part, dict) else type(part).__name__
                raise Untranslatable(f"Ollama takes text and images only, not {kind!r}")
    return "\n".join(texts), images


def _image(image: object, model: OllamaModel) -> str:
    if not model.sees:
        raise Untranslatable(f"the model {model.name} takes no images, by Ollama's account")
    url = image.get("url") if isinstance(image, dict) else image
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise Untranslatable("Ollama takes images as data: URLs in base64 only")
    return data
