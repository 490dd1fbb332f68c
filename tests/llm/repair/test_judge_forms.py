"""Forms that the recorded answers do not have: how else the same families write, quote, cut and break a call."""

import json
from pathlib import Path
from typing import Any

import pytest

from hearth.agent.equipment import make_toolbox
from hearth.llm.repair.cases import TOOLS
from hearth.llm.repair.judge import judge
from hearth.llm.repair.verdict import Calls, Rejected, Resample, Said, Verdict
from hearth.messages import ToolCall, ToolSpec

READ = ("read", {"path": "a"})
GLOB = ("glob", {"pattern": "b"})
ENVELOPE = '{"name": "read", "arguments": {"path": "a"}}'
TOKEN = "<｜tool▁call{}｜>".format


def calls_of(verdict: Verdict) -> list[tuple[str, Any]]:
    assert isinstance(verdict, Calls), verdict
    return [(call.name, json.loads(call.arguments)) for call in verdict.calls]


def native(name: str, arguments: str) -> Verdict:
    return judge(Said("", "", (ToolCall("i", name, arguments),)), TOOLS)


def outcome(verdict: Verdict) -> str:
    return verdict.kind if isinstance(verdict, Rejected) else type(verdict).__name__


@pytest.mark.parametrize(
    "text",
    [
        f"<function_call>{ENVELOPE}</function_call>",
        f"<tool_call>[{ENVELOPE}]</tool_call>",
        f"<TOOLCALL>[{ENVELOPE}]</TOOLCALL>",
        f"<|tool_call|>[{ENVELOPE}]<|/tool_call|>",
        f"functools[{ENVELOPE}]",
        f"[TOOL_CALLS] {ENVELOPE}",
        f"[TOOL_REQUEST]{ENVELOPE}[END_TOOL_REQUEST]",
        f"I look.\n[TOOL_REQUEST]\n{ENVELOPE}\n[END_TOOL_REQUEST]\n",
        "<tool_call>\n<read>\n<path>a</path>\n</read>\n</tool_call>",
        "<tool_use><read_file><path>a</path></read_file></tool_use>",
        "<function_calls>\n<read_file>\n<path>a</path>\n</read_file>\n</function_calls>\nSo I wait.",
        '<tool_call>\n<name>read</name>\n<arguments>{"path": "a"}</arguments>\n</tool_call>',
        '<tool_use>\n<tool_name>read</tool_name>\n<parameters>\n{"path": "a"}\n</parameters>\n</tool_use>',
        f"[TOOL_CALLS][{ENVELOPE}][/TOOL_CALLS]",
        f"<|im_start|>assistant\n{ENVELOPE}<|im_end|>",
        f"<think>x</think>\n\n{ENVELOPE}",
        f"```xml\n<tool_call>\n{ENVELOPE}\n</tool_call>\n```",
        f"```\n{ENVELOPE}\n```\n<|im_end|>",
        f"```tool_call\n{ENVELOPE}\n```",
        f"<tool_call>{ENVELOPE}}}</tool_call>",
        f"<tool_call>{ENVELOPE}</tool_call>\n<tool_call>",
        f"<think>\nI check\n<tool_call>{ENVELOPE}</tool_call></think>",
        '<tool_call>{"name": "read", "path": "a"}</tool_call>',
        '<tool_call>{"read": {"path": "a"}}</tool_call>',
        '<tool_call name="read">{"path": "a"}</tool_call>',
        '<tool_call>read\n{"path": "a"}\n</tool_call>',
        '<tool_call>\nread(path="a")\n</tool_call>',
        '<tool_call><function=read>{"path": "a"}</function></tool_call>',
        "<tool_call>\n<function=read\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=read>\n<parameter=path>\na\n</tool_call>",
        "<tool_call>\n<function=read>\n<parameter=path>\na\n</parameter\n</function\n</tool_call>",
        "<tool_call>\n<function=read>\n<parameter=path>\na\n</parameter>\n<parameter=why>\nb\n</parameter>\n</function>",
        '<function=read{"path": "a"}</function>',
        "<seed:tool_call>\n<function=read>\n<parameter=path>a</parameter>\n</function>\n</seed:tool_call>",
        '<function name="read">\n<parameter name="path">\na\n</parameter>\n</function>',
        '<function_calls>\n<invoke name="read">\n<parameter name="path">a</parameter>\n</invoke>\n</function_calls>',
        "<tool_call>read<arg_key>path</arg_key><arg_value>a</arg_value>\n",
        "<tool_call>read<arg_key>path<arg_value>a</arg_value></tool_call>",
        "<tool_call>readpath</arg_key><arg_value>a</arg_value></tool_call>",
        "<tool_call>read\npath</arg_key>\n<arg_value>a</arg_value></tool_call>",
        "<tool_call>read<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>why</arg_key><arg_value>b</arg_value>",
        "<tool_call>read\n<arg_key>path</arg_key>\na</arg_value>\n</tool_call>",
        '```json\n{"name": "read", "arguments": {"path": "a"}\n```',
        '```tool_code\nread(path="a"\n```',
        '<|tool_call>call:read{path:<|"|>a}<tool_call|>',
        '<|channel|>commentary to=functions.read <|constrain|>json<|message|>```json\n{"path": "a"}\n```<|call|>',
        "read<arg_key>path</arg_key><arg_value>a</arg_value></tool_call>",
        'read[ARGS]{"path": "a"}',
        '<|python_tag|>read(path="a")',
        '<|python_tag|>read.call(path="a")',
        '<|python_start|>[read(path="a")]<|python_end|>',
        '```python\nread(path="a")\n```',
        '```tool_code\nread("a")\n```',
        '```tool_code\nresult = default_api.read(path="a")\nprint(result)\n```',
        'read\n```json\n{"path": "a"}\n```',
        "{'tool': 'read', 'args': {'path': 'a'}}",
        '{"tool_calls": [{"id": "c", "function": {"name": "read", "arguments": "{\\"path\\": \\"a\\"}"}}]}',
        TOKEN("▁begin") + 'read<｜tool▁sep｜>{"path": "a"}' + TOKEN("▁end"),
        '<|tool▁calls▁begin|><|tool▁call▁begin|>read<|tool▁sep|>{"path": "a"}<|tool▁call▁end|>',
        '<|DSML|invoke name="read">\n<|DSML|parameter name="path" string="true">a</|DSML|parameter>\n</|DSML|invoke>',
        'call:read{path:<|"|>a<|"|>}<tool_call|>',
        "<|tool_call>call:read{path:a}<tool_call|>",
        '<|channel|>commentary to=functions.read <|constrain|>json{"path": "a"}<|call|>',
        '<|channel|>commentary to=repo_browser.open_file code<|message|>{"path": "a"}<|call|>',
        '<|channel|>commentary to=functions.read<|channel|>commentary json<|message|>{"path": "a"}<|call|>',
        'commentary to=functions.readjson<|message|>{"path": "a"}',
    ],
)
def test_a_call_is_found_in_every_form(text: str) -> None:
    assert calls_of(judge(Said(text), TOOLS)) == [READ]


@pytest.mark.parametrize(
    "text",
    [
        f'<tool_call>\n{ENVELOPE}\n{{"name": "glob", "arguments": {{"pattern": "b"}}}}\n</tool_call>',
        '[TOOL_CALLS]read{"path": "a"}, glob{"pattern": "b"}',
        '[TOOL_CALLS]read[ARGS]{"path": "a"}glob[ARGS]{"pattern": "b"}',
        '```tool_code\nread(path="a")\nglob(pattern="b")\n```',
        "[read(path=\"a\"), glob(pattern='b')]",
        f'{ENVELOPE}\n{{"name": "glob", "parameters": {{"pattern": "b"}}}}',
        '<|start|>assistant<|channel|>commentary to=functions.read <|constrain|>json<|message|>{"path": "a"}<|call|>'
        '<|start|>assistant<|channel|>commentary to=functions.glob json<|message|>{"pattern": "b"}<|call|>',
    ],
)
def test_two_calls_are_found_in_order(text: str) -> None:
    assert calls_of(judge(Said(text), TOOLS)) == [READ, GLOB]


@pytest.mark.parametrize(
    "text",
    [
        "Hermes wraps calls as <tool_call>{...}</tool_call> and Qwen3-Coder uses <function=name>.",
        "<tool_call> opens a call and </tool_call> ends it.",
        "[TOOL_CALLS] is the control token of Mistral.",
        "LM Studio wants [TOOL_REQUEST] and [END_TOOL_REQUEST] around it.",
        f"It is `[TOOL_REQUEST]{ENVELOPE}[END_TOOL_REQUEST]` there.",
        "Write <tool_use><read_file>...</read_file></tool_use> for it.",
        "The template writes <tool_call>{{ tool.name }}</tool_call> for each.",
        "gpt-oss prints <|channel|>analysis before it thinks.",
        'See:\n\n```tool_code\nread(path="a")\n```',
        f"```json\n{ENVELOPE}\n```\nThis is what I would send.",
        f"The old call was `<tool_call>\n{ENVELOPE}\n</tool_call>` here.",
        f"~~~\n<tool_call>{ENVELOPE}</tool_call>\n~~~\nok",
        f"> <tool_call>{ENVELOPE}</tool_call>\n\nThat is it.",
        f'He wrote "<tool_call>{ENVELOPE}</tool_call>" there.',
        "- item\n  ```\n  <function=bash>\n<parameter=command>ls</parameter></function>\n  ```\n- more",
        "Done.\n</tool_call>",
        "<think>a</think>The answer ends with </think> sometimes.",
        'I ran:\nread\n{"path": "a"}',
        "```bash\nls -la\n```",
        '```python\nprint("hi")\n```',
        '{"name": "demo", "version": "1.0"}',
        '{"html": "<function=bash><parameter=command>ls</parameter></function>"}',
        "[1, 2, 3]",
        '{"path": "a"}',
        'glob("*.py")',
        "x = call:me{",
        "functools[cache] is odd",
        "<function=name>",
    ],
)
def test_words_are_words(text: str) -> None:
    assert outcome(judge(Said(text), TOOLS)) == "Answer"


@pytest.mark.parametrize(
    "text",
    [
        "  \n",
        "<|im_end|>",
        "<tool_call></tool_call>",
        "I look.\n<tool_call>",
        '<tool_call>\n{"path": "a"}\n</tool_call>',
        '<tool_call>{"name": "read", "arguments": {"path": "a"???}}</tool_call>',
        '<tool_call>{"name": "bash", "arguments": {"command": "ls -la}}\n</tool_call>',
        "[TOOL_CALLS] read lib/parser.rb",
        "[TOOL_CALLS]I will read it",
        "[TOOL_CALLS][]",
        "<think>hm",
        "<|channel|>analysis<|message|>We need to",
        "<｜tool▁calls▁begin｜>",
        "<tool_call>\n" * 300 + "x",
    ],
)
def test_what_is_not_certain_is_asked_again(text: str) -> None:
    assert outcome(judge(Said(text), TOOLS)) == "Resample"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('[TOOL_CALLS]bash[ARGS]{"command": "rm -rf /tm', "truncated"),
        ("[TOOL_CALLS]read[ARGS]", "truncated"),
        ('[TOOL_REQUEST]{"name": "bash", "arguments": {"command": "rm -rf /tm', "truncated"),
        ("<tool_use>\n<execute_command>\n<command>rm -rf /tm", "truncated"),
        ('<tool_use>\n<name>bash</name>\n<arguments>{"command": "rm', "truncated"),
        ('<tool_use>\n<name>bash</name>\n<arguments>{"command": "rm"}', "truncated"),
        ('{"name": "read", "arguments": {"path": "a"', "truncated"),
        (
            '{"name": "write", "arguments": {"content": "<function=bash><parameter=command>ls</parameter></function>',
            "truncated",
        ),
        ("<tool_call>write<arg_key>path</arg_key><arg_value>a</arg_value>", "truncated"),
        ('```json\n{"name": "bash", "arguments": {"command": "a', "truncated"),
        ('<|channel|>commentary to=browser.search<|message|>{"query": "x"}<|call|>', "unknown_tool"),
        ("<|channel|>analysis to=python code<|message|>print(1)<|call|>", "unknown_tool"),
        ('<tool_call>{"name": "read", "arguments": {}}</tool_call>', "missing_argument"),
        ('<tool_call>{"name": "read", "arguments": {"path": ["a"]}}</tool_call>', "wrong_type"),
    ],
)
def test_what_must_not_run_is_rejected(text: str, kind: str) -> None:
    assert outcome(judge(Said(text), TOOLS)) == kind


def test_a_whole_example_within_a_value_is_part_of_it() -> None:
    example = "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"
    content = f"Example:\n{example}\nDone."
    text = (
        "<tool_call>\n<function=write>\n<parameter=path>\na.md\n</parameter>\n"
        f"<parameter=content>\n{content}\n</parameter>\n</function>\n</tool_call>"
    )
    assert calls_of(judge(Said(text), TOOLS)) == [("write", {"path": "a.md", "content": content})]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", '{"path": "a"}}}'),
        ("read", '{}{"path": "a"}'),
        ("read", '{"path": "a"}{"path": "a"}'),
        ("read", '```json\n{"path": "a"}\n```'),
        ("read", '[{"path": "a"}]'),
        ("read", "{“path”: “a”}"),
        ("read", '{"path": """a"""}'),
        ("read", '{"arguments": {"path": "a"}}'),
        ("read", '{"path": "a"} I will read it'),
        ("read", '{"path": "a", "offset": null, "why": "to see"}'),
        ("read", '{"Path": "a"}'),
        ('read{"path": "a"}', "{}"),
        ("read\n<parameter=path>\na\n</parameter>", "{}"),
        ('read(path="a")', ""),
        ("mcp__files__read_file", '{"path": "a"}'),
        ("repo_browser.open_file", '{"path": "a"}'),
        ("ReadFile", '{"targetFile": "a"}'),
        ("functions.read:0", '{"path": "a"}'),
        ("commentary to=functions.read", '{"path": "a"}'),
        ("function<｜tool▁sep｜>read", '{"path": "a"}'),
        ("<function=read>", '{"path": "a"}'),
        ("read", 'json{"path": "a"}"'),
    ],
)
def test_a_servers_call_is_mended(name: str, arguments: str) -> None:
    assert calls_of(native(name, arguments)) == [READ]


@pytest.mark.parametrize(
    ("name", "arguments", "right"),
    [
        ("grep", r'{"pattern": "\bclass\s+\w+"}', {"pattern": r"\bclass\s+\w+"}),
        ("bash", '{"command":"ls","timeout":"60"}', {"command": "ls", "timeout": 60}),
        ("read", '{"path":"a","offset":"007"}', {"path": "a", "offset": 7}),
        ("read", '{"path":"a","start_line":3,"end_line":9}', {"path": "a", "offset": 3}),
        (
            "search_files",
            '{"path":"a","regex":"x","file_pattern":"*.py"}',
            {"path": "a", "pattern": "x", "glob": "*.py"},
        ),
        (
            "TodoWrite",
            '{"todos":[{"content":"a","status":"completed","id":"1"},{"content":"b","status":"in_progress"}]}',
            {"items": [{"text": "a", "done": True}, {"text": "b", "done": False}]},
        ),
    ],
)
def test_values_are_converted_where_they_have_one_reading(name: str, arguments: str, right: dict[str, Any]) -> None:
    [(_, found)] = calls_of(native(name, arguments))
    assert json.dumps(found) == json.dumps(right)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("read", '{"path": "a"', "truncated"),
        ("read", '{"path": "a"}{"path": "b"}', "Resample"),
        ("read", '{"path": "a", "path": "b"}', "Resample"),
        ("read", '{"file_path": "a", "filename": "b"}', "Resample"),
        ("read", "path=a", "Resample"),
        ("glob", '{"name": "grep", "arguments": {"pattern": "a"}}', "Resample"),
        ("", '{"path": "a"}', "Resample"),
        ("<|channel|>commentary", '{"path": "a"}', "Resample"),
        ("read", '"a"', "wrong_type"),
        ("bash", '{"cmd": ["bash", "-lc", "ls"]}', "wrong_type"),
        ("bash", '{"command": "ls", "timeout": 60.5}', "wrong_type"),
        ("bash", '{"command": "ls", "background": 1}', "wrong_type"),
        ("grep", '{"pattern": 1.5}', "wrong_type"),
        ("todo", '{"items": ["a"]}', "wrong_type"),
        ("todo", '{"items": "[{\\"text\\": \\"a\\""}', "wrong_type"),
        ("edit", '{"path": "a", "old": "x", "new": null}', "missing_argument"),
        ("bash\n<parameter=command>\nls -", "{}", "missing_argument"),
        ("browser.search", '{"query": "a"}', "unknown_tool"),
        ("grpe", '{"pattern": "a"}', "unknown_tool"),
        ("read", '{"a": ' * 5000 + "1" + "}" * 5000, "Resample"),
        ("read", '{"limit": ' + "9" * 5000 + ', "path": "a"}', "Resample"),
    ],
)
def test_a_servers_call_that_cannot_run(name: str, arguments: str, result: str) -> None:
    assert outcome(native(name, arguments)) == result


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("apply_patch", "{}", "use edit instead"),
        ("ls", "{}", "use glob or bash instead"),
        ("grpe", "{}", "perhaps grep was meant"),
        ("finish", "{}", "in plain words"),
        ("write", '{"path": "a"}', "write needs content, which is not there; it was called with path only."),
        ("bash", '{"command": "ls", "timeout": "soon"}', 'timeout of bash must be an integer, not the text "soon".'),
        ("todo", '{"items": [{"text": "a"}]}', "todo needs items[0].done"),
    ],
)
def test_a_refusal_says_what_would_be_right(name: str, arguments: str, said: str) -> None:
    verdict = native(name, arguments)
    assert isinstance(verdict, Rejected)
    assert said in verdict.calls[0].refusal


PRODUCT = make_toolbox(("todo", "task", "multi_edit", "output", "kill"), Path("/"))


@pytest.mark.parametrize(
    ("name", "arguments", "right"),
    [
        ("todo", {"items": [{"text": "a", "done": "true"}, {"text": 5}]}, [("a", True), ("5", None)]),
        ("todo", {"items": ['{"text": "a", "done": "False"}']}, [("a", False)]),
        ("write_todos", {"todos": '[{"content": "a", "status": "completed"}]'}, [("a", True)]),
    ],
)
def test_the_items_of_a_plan_are_converted_too(name: str, arguments: Any, right: list[tuple[str, bool | None]]) -> None:
    source = json.dumps(arguments)
    verdict = judge(Said("", "", (ToolCall("i", name, source),)), PRODUCT.specs)
    [(_, found)] = calls_of(verdict)
    assert [(item["text"], item.get("done")) for item in found["items"]] == right


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("todo", {"items": [{"text": "a", "done": 1}]}, "wrong_type"),
        ("todo", {"items": [{"text": "a", "done": "maybe"}]}, "wrong_type"),
        ("todo", {"items": [{"text": ["a"], "done": True}]}, "wrong_type"),
        ("todo", {"items": [None]}, "wrong_type"),
        ("todo", {"items": {"text": "a", "done": True}}, "wrong_type"),
        ("todo", {"items": [{"done": True}]}, "missing_argument"),
        ("todo", {"items": [{"content": "a", "title": "b"}]}, "Resample"),
        ("multi_edit", {"edits": [{"path": "a", "old": "x"}]}, "missing_argument"),
    ],
)
def test_what_within_a_list_does_not_fit_is_refused(name: str, arguments: Any, kind: str) -> None:
    assert outcome(judge(Said("", "", (ToolCall("i", name, json.dumps(arguments)),)), PRODUCT.specs)) == kind


@pytest.mark.parametrize(
    ("name", "arguments", "right"),
    [
        ("Task", {"description": "look", "prompt": "Find x.", "subagent_type": "x"}, {"goal": "Find x."}),
        (
            "MultiEdit",
            {"edits": [{"file_path": "a", "old_string": "x", "new_string": "y", "replace_all": "true"}]},
            {"edits": [{"path": "a", "old": "x", "new": "y", "all": True}]},
        ),
        ("BashOutput", {"bash_id": "b1"}, {"id": "b1"}),
        ("KillShell", {"shell_id": "b1"}, {"id": "b1"}),
    ],
)
def test_all_tools_of_a_session_are_known_by_other_names(name: str, arguments: Any, right: Any) -> None:
    verdict = judge(Said("", "", (ToolCall("i", name, json.dumps(arguments)),)), PRODUCT.specs)
    [(found, given)] = calls_of(verdict)
    assert given == right
    # A label is made of what the tool itself could read.
    assert PRODUCT.label(ToolCall("i", found, json.dumps(given))) != json.dumps(given)


def tool(name: str, **properties: Any) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": list(properties)})


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        ({"enum": ["fast", "slow"]}, "Fast", "fast"),
        ({"type": ["integer", "null"]}, "3", 3),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 3, 3),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
        ({"type": "object", "properties": {"on": {"type": "boolean"}}}, {"on": "TRUE", "x": 1}, {"on": True}),
        ({"$ref": "#/$defs/Count"}, "4", 4),
        ({}, [1], [1]),
    ],
)
def test_any_schema_is_followed(schema: dict[str, Any], given: Any, expected: Any) -> None:
    spec = tool("set_mode", mode=schema)
    spec.parameters["$defs"] = {"Count": {"type": "integer"}}
    source = json.dumps({"mode": given})
    verdict = judge(Said("", "", (ToolCall("i", "set_mode", source),)), (spec,))
    assert isinstance(verdict, Calls), verdict
    assert json.loads(verdict.calls[0].arguments) == {"mode": expected}


def test_an_alias_counts_only_where_its_tool_is_offered() -> None:
    said = Said("", "", (ToolCall("i", "read_file", '{"path": "a"}'),))
    assert outcome(judge(said, (tool("bash", command={"type": "string"}),))) == "unknown_tool"
    # And the other way round: a tool set with the names of another agent.
    offered = tool("read_file", file_path={"type": "string"})
    verdict = judge(Said("", "", (ToolCall("i", "read", '{"path": "a"}'),)), (offered,))
    assert calls_of(verdict) == [("read_file", {"file_path": "a"})]


def test_without_tools_nothing_is_a_call() -> None:
    assert outcome(judge(Said("Hello."), ())) == "Answer"
    assert outcome(judge(Said(f"<tool_call>{ENVELOPE}</tool_call>"), ())) == "unknown_tool"


def test_what_was_understood_is_told_even_if_it_cannot_be_read() -> None:
    verdict = judge(Said('I edit.\n<tool_call>{"name": "edit_file", "arguments": {"old": , }}</tool_call>'), TOOLS)
    assert isinstance(verdict, Resample)
    assert (verdict.tool, verdict.text) == ("edit", "I edit.")


UNITS = (
    *(
        "<",
        "{",
        "[",
        "`",
        "```\n",
        '"',
        "<tool_call>",
        '<tool_call>{"name":"',
        "<function=read><parameter=path>",
        "</parameter>",
    ),
    *(
        "[TOOL_CALLS]read[ARGS]{",
        "<arg_key>",
        "<tool_call>read<arg_key>path</arg_key><arg_value>",
        "</tool_call>",
        "<|channel|>",
    ),
    *(
        '{"name": "read"\n',
        "<think>",
        "</think>",
        "call:read{",
        "{“",
        '"""',
        "a",
        "\n",
        "[read(",
        '{"a":',
        "\\",
        "\t> ",
        "read(",
    ),
)


@pytest.mark.parametrize("unit", UNITS)
def test_a_flood_of_markup_is_judged_like_a_drop(unit: str) -> None:
    # 100 kB each; what is not linear would not come to an end.
    flood = unit * (100_000 // len(unit))
    for said in (Said(flood), Said("", flood), Said("", "", (ToolCall("i", "read", flood),))):
        assert outcome(judge(said, TOOLS)) != "Calls"
