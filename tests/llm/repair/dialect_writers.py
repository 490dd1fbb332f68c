"""How each family of models writes a call, for tests: call in, text out, as their chat templates have it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Arguments = dict[str, Any]
Writer = Callable[[str, Arguments], str]


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def envelope(name: str, arguments: Arguments, word: str = "arguments") -> str:
    return json.dumps({"name": name, word: arguments}, ensure_ascii=False)


def hermes(name: str, arguments: Arguments) -> str:
    return f"<tool_call>\n{envelope(name, arguments)}\n</tool_call>"


def qwen_coder(name: str, arguments: Arguments) -> str:
    inner = "".join(f"<parameter={key}>\n{text(value)}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"


def glm(name: str, arguments: Arguments) -> str:
    inner = "".join(f"<arg_key>{k}</arg_key>\n<arg_value>{text(v)}</arg_value>\n" for k, v in arguments.items())
    return f"<tool_call>{name}\n{inner}</tool_call>"


def minimax(name: str, arguments: Arguments) -> str:
    inner = "".join(f'<parameter name="{key}">{text(value)}</parameter>\n' for key, value in arguments.items())
    return f'<minimax:tool_call>\n<invoke name="{name}">\n{inner}</invoke>\n</minimax:tool_call>'


def dsml(name: str, arguments: Arguments) -> str:
    inner = "".join(
        f'<｜DSML｜parameter name="{key}" string="{str(isinstance(value, str)).lower()}">{text(value)}'
        "</｜DSML｜parameter>\n"
        for key, value in arguments.items()
    )
    return (
        f'<｜DSML｜function_calls>\n<｜DSML｜invoke name="{name}">\n{inner}</｜DSML｜invoke>\n</｜DSML｜function_calls>'
    )


def mistral_list(name: str, arguments: Arguments) -> str:
    return f"[TOOL_CALLS][{envelope(name, arguments)}]"


def mistral(name: str, arguments: Arguments) -> str:
    return f"[TOOL_CALLS]{name}[ARGS]{json.dumps(arguments, ensure_ascii=False)}"


def llama(name: str, arguments: Arguments) -> str:
    return f"<|python_tag|>{envelope(name, arguments, 'parameters')}<|eom_id|>"


def llama_bare(name: str, arguments: Arguments) -> str:
    return envelope(name, arguments, "parameters")


def llama_tag(name: str, arguments: Arguments) -> str:
    return f"<function={name}>{json.dumps(arguments)}</function>"


def python_list(name: str, arguments: Arguments) -> str:
    return f"[{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})]"


def tool_code(name: str, arguments: Arguments) -> str:
    return f"```tool_code\n{python_list(name, arguments)[1:-1]}\n```"


def lfm(name: str, arguments: Arguments) -> str:
    return f"<|tool_call_start|>{python_list(name, arguments)}<|tool_call_end|>"


def deepseek_r1(name: str, arguments: Arguments) -> str:
    inner = f"function<｜tool▁sep｜>{name}\n```json\n{json.dumps(arguments, ensure_ascii=False)}\n```"
    return f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{inner}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"


def deepseek(name: str, arguments: Arguments) -> str:
    inner = f"{name}<｜tool▁sep｜>{json.dumps(arguments)}"
    return f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{inner}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"


def kimi(name: str, arguments: Arguments) -> str:
    inner = f"functions.{name}:0<|tool_call_argument_begin|>{json.dumps(arguments)}"
    return f"<|tool_calls_section_begin|><|tool_call_begin|>{inner}<|tool_call_end|><|tool_calls_section_end|>"


def harmony(name: str, arguments: Arguments) -> str:
    header = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
    return f"{header}{json.dumps(arguments, ensure_ascii=False)}<|call|>"


def gemma_value(value: Any, mark: str) -> str:
    match value:
        case str():
            return f"{mark}{value}{mark}"
        case list():
            return f"[{','.join(gemma_value(each, mark) for each in value)}]"
        case dict():
            return f"{{{','.join(f'{key}:{gemma_value(each, mark)}' for key, each in value.items())}}}"
    return json.dumps(value)


def gemma(name: str, arguments: Arguments) -> str:
    inner = gemma_value(arguments, '<|"|>')
    return f"<|tool_call>call:{name}{inner}<tool_call|>"


def function_gemma(name: str, arguments: Arguments) -> str:
    return f"<start_function_call>call:{name}{gemma_value(arguments, '<escape>')}<end_function_call>"


def granite(name: str, arguments: Arguments) -> str:
    return f"<|tool_call|>[{envelope(name, arguments)}]"


def nemotron(name: str, arguments: Arguments) -> str:
    return f"<TOOLCALL>[{envelope(name, arguments)}]</TOOLCALL>"


def lm_studio(name: str, arguments: Arguments) -> str:
    return f"[TOOL_REQUEST]\n{envelope(name, arguments)}\n[END_TOOL_REQUEST]"


def fenced(name: str, arguments: Arguments) -> str:
    return f"```json\n{envelope(name, arguments)}\n```"


def name_line(name: str, arguments: Arguments) -> str:
    return f"{name}\n{json.dumps(arguments, ensure_ascii=False)}"


def element(name: str, arguments: Arguments) -> str:
    inner = "".join(f"<{key}>\n{text(value)}\n</{key}>\n" for key, value in arguments.items())
    return f"<{name}>\n{inner}</{name}>"


def react(name: str, arguments: Arguments) -> str:
    return f"Thought: I need {name}.\nAction: {name}\nAction Input: {json.dumps(arguments, ensure_ascii=False)}"


TAGGED: tuple[Writer, ...] = (qwen_coder, glm, minimax, dsml, element)
"""Their values are raw text between tags."""
DELIMITED: tuple[Writer, ...] = (gemma, function_gemma)
MARKED: tuple[Writer, ...] = (
    *(
        hermes,
        mistral_list,
        mistral,
        llama,
        llama_tag,
        lfm,
        deepseek_r1,
        deepseek,
        kimi,
        harmony,
        granite,
        nemotron,
        lm_studio,
    ),
    *TAGGED,
    *DELIMITED,
)
WHOLE: tuple[Writer, ...] = (llama_bare, python_list, tool_code, fenced, name_line, react)
"""They count only as the whole message."""
