"""What gpt-oss was trained to write, in the words of our tools."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from talks import TEXT, TOOLS

from hearth.llm.dialects.harmony.native import adapt_arguments
from hearth.messages import ToolSpec


def spec(name: str, *fields: str) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": {field: {} for field in fields}})


KNOWN = {
    tool.name: tool
    for tool in (
        spec("bash", "command", "timeout"),
        spec("read", "path", "offset", "limit"),
        spec("grep", "pattern", "path", "glob"),
        spec("glob", "pattern"),
        spec("apply_patch", "patch"),
    )
}


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("bash", {"command": ["bash", "-lc", "ls | wc -l"]}, {"command": "ls | wc -l"}),
        ("bash", {"cmd": ["/bin/sh", "-c", "a; b"], "timeout": 5}, {"command": "a; b", "timeout": 5}),
        ("bash", {"command": ["git", "commit", "-m", "it's"]}, {"command": "git commit -m 'it'\"'\"'s'"}),
        ("bash", {"command": ["bash", "-lc"]}, {"command": "bash -lc"}),
        ("bash", {"cmd": "ls"}, {"command": "ls"}),
        ("bash", {"command": ["ls"], "workdir": "src dir"}, {"command": "cd 'src dir' || exit\nls"}),
        ("bash", {"command": ["ls"], "workdir": ""}, {"command": "ls"}),
        ("read", {"path": "a", "line_start": 3, "line_end": 7}, {"path": "a", "offset": 3, "limit": 5}),
        ("read", {"file_path": "a", "start_line": 3}, {"path": "a", "offset": 3}),
        ("read", {"path": "a", "line_end": 7, "line_numbers": True}, {"path": "a", "limit": 7}),
        ("grep", {"path": "src", "query": "x", "max_results": 20}, {"pattern": "x", "path": "src"}),
        ("grep", {"path": "", "query": "x"}, {"pattern": "x"}),
        ("glob", {"path": "", "depth": 3}, {"pattern": "**/*"}),
        ("glob", {"path": "./src/", "depth": 1}, {"pattern": "src/*"}),
        ("apply_patch", {"input": "*** Begin Patch\n"}, {"patch": "*** Begin Patch\n"}),
    ],
)
def test_what_has_one_meaning_is_translated(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert json.loads(adapt_arguments(name, json.dumps(theirs), KNOWN)) == ours


def test_a_bare_patch_is_the_one_argument() -> None:
    patch = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\n"
    assert json.loads(adapt_arguments("apply_patch", patch, KNOWN)) == {"patch": patch}
    assert adapt_arguments("bash", patch, KNOWN) == patch


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("apply_patch", "*** Begin Patch\n*** Add File: a\n+x"),
        ("apply_patch", "see:\n*** Begin Patch\n*** Add File: a\n+x\n*** End Patch"),
        ("bash", '{ "command" : "ls",\n"timeout":5}'),
        ("bash", '{"command": ["a", 1]}'),
        ("bash", '{"command": []}'),
        ("bash", '{"command": ["ls"], "workdir": 5}'),
        ("bash", '{"script": "ls"}'),
        ("bash", '{"command": "ls'),
        ("bash", "[1]"),
        ("read", '{"path": "a", "line_start": "3"}'),
        ("read", '{"path": "a", "line_start": 9, "line_end": 3}'),
        ("read", '{"line_end": 3}'),
        ("grep", '{"query": ["x"]}'),
        ("glob", '{"path": 5}'),
        ("apply_patch", '{"input": "a", "more": "b"}'),
        ("write", '{"file": "a"}'),
        ("nope", '{"cmd": "ls"}'),
    ],
)
def test_all_else_stays_as_it_was_written(name: str, arguments: str) -> None:
    assert adapt_arguments(name, arguments, {**KNOWN, "write": spec("write", "path")}) == arguments


@given(TEXT)
def test_it_never_fails(text: str) -> None:
    for tool in TOOLS:
        adapt_arguments(tool.name, text, {each.name: each for each in TOOLS})
