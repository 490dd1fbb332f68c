"""A conversation as the pilot reads it: ChatML with Hermes tool calls, the same bytes as the template in the GGUF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hearth.messages import Message, ToolCall

START, END = "<|im_start|>", "<|im_end|>"
CALL, CALL_END = "<tool_call>", "</tool_call>"

TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{{- message.content or '' -}}
{%- for call in message.tool_calls or [] -%}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' -}}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson -}}
{{- '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content -}}
{%- if message.role == 'system' and tools -%}
{{- '\\nTools:' -}}
{%- for tool in tools -%}{{- ' ' + tool.function.name -}}{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
"""The chat template of the GGUF. Tools appear by name only: what they take, the pilot knows by heart."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of rendered text; ``spoken`` marks what the model itself must produce."""

    text: str
    spoken: bool


def write_call(name: str, **arguments: object) -> ToolCall:
    """A call with its arguments as the engine's template writes them."""
    return ToolCall(id="", name=name, arguments=json.dumps(arguments, ensure_ascii=False))


def render_pieces(messages: Iterable[Message], tools: Sequence[str]) -> Iterator[Piece]:
    """The conversation in order, split where the speaker changes between the model and the rest."""
    for message in messages:
        if message.role == "assistant":
            yield Piece(f"{START}assistant\n", spoken=False)
            calls = "".join(
                f'{CALL}\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n{CALL_END}'
                for call in message.tool_calls
            )
            yield Piece(f"{message.content}{calls}{END}", spoken=True)
            yield Piece("\n", spoken=False)
        else:
            names = f"\nTools: {' '.join(tools)}" if message.role == "system" and tools else ""
            yield Piece(f"{START}{message.role}\n{message.content}{names}{END}\n", spoken=False)
