"""The words by which calls are marked, of all families: patterns, pure data.

Where they come from: the chat templates of the models, and the parsers of llama.cpp, vLLM and SGLang. The bar, the
underscore and the space of special tokens come in several widths, for detokenizers differ.
"""

from __future__ import annotations

import re

BAR = "[|｜]"
SPACE = "[▁_ ]"
PREFIX = rf"(?:{BAR}*\s*DSML\s*{BAR}*\s*|[A-Za-z]\w*:)?"
"""What stands before the names of tags: DeepSeek's DSML, ``minimax:``, ``seed:``, ``antml:``, ``steptml:``."""

_TAGS = r"tool_?calls?|tools?|tool_?use|tool_?code|function_?calls?|functions"

OPENER = re.compile(
    rf"""
    <{PREFIX}(?:{_TAGS})(?:\s+[^<>\n]{{0,200}})?>                        # Hermes, Qwen, GLM, Nemotron, MiniMax, Seed
  | <{BAR}\s*tool{SPACE}?calls?(?:{SPACE}(?:section{SPACE})?(?:begin|start))?\s*{BAR}>  # DeepSeek, Kimi, Granite, LFM
  | <\|tool_call> | <start_function_call>                                # Gemma 4, FunctionGemma
  | \[TOOL_CALLS?\] | \[TOOL_REQUEST\]                                   # Mistral, LM Studio for models without tools
  | <\|(?:python_tag|python_start|START_ACTION|action_start|plugin|tools_prefix|function_calls?)\|>
  | \bfunctools(?=\[\s*\{{)                                                    # Phi 4 mini
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What begins one or more calls."""

CLOSER = re.compile(
    rf"""
    </{PREFIX}(?:{_TAGS}|function|invoke|parameter|arg_value)\s*>
  | <{BAR}\s*/?tool{SPACE}?calls?{SPACE}(?:section{SPACE})?end\s*{BAR}>
  | <\|/tool_calls?\|> | <tool_call\|> | <end_function_call>
  | \[/TOOL_CALLS?\] | \[END_TOOL_REQUEST\]
  | <\|(?:python_end|END_ACTION|action_end|tools_suffix)\|>
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What ends one."""

JUNK = re.compile(
    r"<\|(?:im_start|start_header_id|start_of_role)\|>(?:assistant)?"
    rf"|<{BAR}/?[A-Za-z][\w▁ ./-]{{0,40}}{BAR}>|</s>|<s>|<end_of_turn>|<start_of_turn>(?:model)?"
    r"|<eos>|<bos>|<turn\|>|\[EOS\]"
)
"""Control tokens that say nothing."""

FUNCTION = re.compile(
    rf"<{PREFIX}(?P<tag>function|invoke)\s*(?:=|\s+name\s*=)\s*[\"']?(?P<name>[^\s<>\"'={{]{{1,120}})[\"']?[^<>{{\n]{{0,80}}(?:>|(?=\s*\n|\s*<|\s*\{{))",
    re.IGNORECASE,
)
"""``<function=NAME>`` of Qwen3-Coder and Llama 3, ``<invoke name="NAME">`` of DeepSeek and MiniMax."""

SEPARATOR = re.compile(rf"<{BAR}\s*tool{SPACE}?sep\s*{BAR}>|<\|tool_call_argument_begin\|>|\[ARGS\]", re.IGNORECASE)
"""What stands between a name and its arguments: DeepSeek, Kimi, Mistral."""

HARMONY = re.compile(r"<\|(?:start|channel)\|>")
"""What begins a header of Harmony."""

RESULT = re.compile(
    rf"""
    <{PREFIX}(?:tool_?(?:responses?|results?|outputs?)|function_?(?:responses?|results?))>
  | \[TOOL_RESULTS\] | <{BAR}\s*tool{SPACE}?(?:outputs?|responses?|results?)(?:{SPACE}begin)?\s*{BAR}>
  | <\|im_start\|>\s*(?:user|tool|system)\b | <\|start_header_id\|>\s*(?:user|ipython|tool|system)\b
  | <start_of_turn>\s*(?:user|tool)\b | <\|start_of_role\|>\s*(?:user|tool\w*|system)\b
  | <{BAR}(?:user|observation|ipython)\s*{BAR}> | <\|start\|>\s*(?:user|system|developer|tool|functions\.|\w+\.\w)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What begins the result of a call, or another's turn. A model that writes it has not stopped where it had to: it only
imagines what follows."""

MARKED = re.compile(
    rf"{OPENER.pattern}|{CLOSER.pattern}|<function|<invoke|<\||<[｜]|\[ARGS\]", re.VERBOSE | re.IGNORECASE
)
"""Anything that looks like markup of calls."""


def space_end(text: str, at: int) -> int:
    """Behind the white space."""
    found = _SPACES.match(text, at)
    return found.end() if found else at


def skip_junk(text: str, at: int) -> int:
    """Behind the white space and the control tokens that say nothing."""
    while True:
        at = space_end(text, at)
        found = JUNK.match(text, at)
        if not found or OPENER.match(text, at) or CLOSER.match(text, at) or HARMONY.match(text, at):
            return at
        at = found.end()


def strip_junk(text: str) -> str:
    """The text without white space and control tokens at both ends."""
    text = text[skip_junk(text, 0) :].rstrip()
    while found := _LAST_JUNK.search(text[-60:]):
        text = text[: len(text) - len(text[-60:]) + found.start()].rstrip()
    return text


_SPACES = re.compile(r"\s*")
_LAST_JUNK = re.compile(rf"(?:{JUNK.pattern})\Z")
