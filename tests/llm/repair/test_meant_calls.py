"""Calls of other agents' tools that stand for calls of ours: patches by the shell, blocks, an editor of three tools."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.dialects.harmony.native import adapt_arguments
from hearth.llm.repair.cases import TOOLS
from hearth.llm.repair.judge import judge
from hearth.llm.repair.verdict import Calls, Rejected, Said, Verdict
from hearth.messages import ToolCall, ToolSpec

PATCHER = ToolSpec("apply_patch", "", {"type": "object", "properties": {"patch": {"type": "string"}}})
PATCHING = (*(tool for tool in TOOLS if tool.name != "edit"), PATCHER)
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@ def f\n-    return 'a'\n+    return \"it's\"\n*** End Patch"
PLAIN = "*** Begin Patch\n*** Add File: a b.txt\n+x y\n*** End Patch"


def native(name: str, arguments: Any, tools: tuple[ToolSpec, ...] = PATCHING) -> Verdict:
    return judge(Said("", "", (ToolCall("i", name, json.dumps(arguments)),)), tools)


def calls_of(verdict: Verdict) -> list[tuple[str, Any]]:
    assert isinstance(verdict, Calls), verdict
    return [(call.name, json.loads(call.arguments)) for call in verdict.calls]


@pytest.mark.parametrize("name", ["container.exec", "shell", "bash", "exec_command", "functions.shell"])
@pytest.mark.parametrize(
    ("arguments", "patch"),
    [
        ({"command": ["apply_patch", PATCH]}, PATCH),
        ({"cmd": ["apply_patch", PATCH + "\n"], "workdir": "", "timeout": 1000}, PATCH + "\n"),
        ({"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF\n"]}, PATCH + "\n"),
        ({"command": ["/bin/sh", "-c", f'apply_patch << "PATCH"\n{PATCH}\nPATCH']}, PATCH + "\n"),
        ({"command": f"apply_patch <<'EOF'\n{PATCH}\nEOF"}, PATCH + "\n"),
        ({"command": f"apply_patch <<EOF\n{PATCH}\nEOF"}, PATCH + "\n"),
        ({"command": f"apply_patch <<-'EOF'\n{PATCH}\nEOF\n\n"}, PATCH + "\n"),
        ({"command": f"applypatch {shlex.quote(PATCH)}"}, PATCH),
        ({"command": f'apply_patch "{PLAIN}"'}, PLAIN),
        ({"command": f"apply_patch '{PLAIN}'\n"}, PLAIN),
        ({"command": f"{PLAIN}\n"}, f"{PLAIN}\n"),
    ],
)
def test_a_patch_by_the_shell_is_a_patch(name: str, arguments: Any, patch: str) -> None:
    assert calls_of(native(name, arguments)) == [("apply_patch", {"patch": patch})]


DOLLAR = "*** Begin Patch\n*** Add File: a.sh\n+echo $HOME\n*** End Patch"
NOT_PATCHES = [
    f"cd src && apply_patch <<'EOF'\n{PATCH}\nEOF",
    f"cat a; apply_patch <<'EOF'\n{PATCH}\nEOF",
    f"apply_patch <<'EOF'\n{PATCH}\nEOF\npytest -q",
    f"apply_patch <<'EOF' && pytest\n{PATCH}\nEOF",
    f"apply_patch <<'EOF' > log\n{PATCH}\nEOF",
    f"apply_patch <<'EOF'\n{PATCH}",
    f"apply_patch <<'EOF'\n{PATCH}\nEOF\n{PATCH}\nEOF",
    f"apply_patch <<EOF\n{DOLLAR}\nEOF",
    "apply_patch <<EOF\n*** Begin Patch\n*** Add File: a\n+`id`\n*** End Patch\nEOF",
    "apply_patch <<-'EOF'\n*** Begin Patch\n*** Update File: a\n\tx\n-y\n*** End Patch\nEOF",
    f"apply_patch '{PLAIN}' && ls",
    f"apply_patch '{PLAIN}' extra",
    f'apply_patch "{DOLLAR}"',
    f"apply_patch '{PLAIN}",
    f"apply_patch {PLAIN}",
    "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a\n+x\nEOF",
    "apply_patch <<'EOF'\nsee:\n*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\nEOF",
    f"echo '{PLAIN}'",
    f"cat > p <<'EOF'\n{PATCH}\nEOF",
    f"{PLAIN}\nls",
    "apply_patch --help",
    "apply_patch < p.diff",
]


@pytest.mark.parametrize("text", NOT_PATCHES)
def test_a_command_that_does_more_or_other_stays_a_command(text: str) -> None:
    assert calls_of(native("bash", {"command": text})) == [("bash", {"command": text})]


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": ["apply_patch", PATCH, "more"]},
        {"command": ["apply_patch", "see: " + PATCH]},
        {"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF\nls"]},
        {"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF", "x"]},
        {"command": ["apply_patch", PATCH], "workdir": "src"},
    ],
)
def test_a_list_that_does_more_or_other_is_no_patch(arguments: Any) -> None:
    assert isinstance(native("shell", arguments), Rejected)


def test_without_a_tool_for_patches_it_stays_a_command() -> None:
    text = f"apply_patch <<'EOF'\n{PATCH}\nEOF"
    assert calls_of(native("bash", {"command": text}, TOOLS)) == [("bash", {"command": text})]


def test_without_a_shell_nothing_is_one() -> None:
    assert isinstance(native("ponder", {"command": ["apply_patch", PATCH]}, (PATCHER,)), Rejected)


@pytest.mark.parametrize("cut", [f"apply_patch <<'EOF'\n{PATCH}"[:at] for at in range(30, len(PATCH) + 20, 7)])
def test_a_patch_that_breaks_off_is_none(cut: str) -> None:
    assert calls_of(native("bash", {"command": cut})) == [("bash", {"command": cut})]


@given(st.text(max_size=60).map(lambda text: text.replace("\n*** End Patch", "")))
def test_a_list_in_harmony_comes_through_byte_for_byte(text: str) -> None:
    patch = f"*** Begin Patch\n*** Add File: a\n+{text}\n*** End Patch\n"
    tools = {tool.name: tool for tool in PATCHING}
    for command in (
        ["apply_patch", patch],
        ["bash", "-lc", f"apply_patch <<'--E'\n{patch}--E\n"],
        ["bash", "-lc", patch],
    ):
        adapted = adapt_arguments("bash", json.dumps({"command": command}), tools)
        found = judge(Said("", "", (ToolCall("i", "bash", adapted),)), PATCHING)
        assert [name for name, _ in calls_of(found)] in (["apply_patch"], ["bash"])
        if calls_of(found)[0][0] == "apply_patch":
            assert calls_of(found) == [("apply_patch", {"patch": patch})]
    assert calls_of(native("shell", {"command": ["apply_patch", patch]})) == [("apply_patch", {"patch": patch})]


ONE = "<<<<<<< SEARCH\nold\n  line\n=======\nnew\n>>>>>>> REPLACE\n"
CLINE = "------- SEARCH\nold\n  line\n=======\nnew\n+++++++ REPLACE\n"
ROO = "<<<<<<< SEARCH\n:start_line:5\n-------\nold\n  line\n=======\nnew\n>>>>>>> REPLACE\n"
EDIT = ("edit", {"path": "a.py", "old": "old\n  line\n", "new": "new\n"})


@pytest.mark.parametrize("diff", [ONE, CLINE, ROO, f"\n{ONE}\n", ONE.rstrip()])
@pytest.mark.parametrize("name", ["replace_in_file", "apply_diff"])
def test_blocks_are_edits(name: str, diff: str) -> None:
    assert calls_of(native(name, {"path": "a.py", "diff": diff}, TOOLS)) == [EDIT]
    assert calls_of(native(name, {"path": "a.py", "diff": f"{diff}\n{CLINE}"}, TOOLS)) == [EDIT, EDIT]


SEARCHER = ToolSpec(
    "search_replace",
    "",
    {
        "type": "object",
        "properties": {"blocks": {"type": "string"}, "path": {"type": "string"}},
        "required": ["blocks"],
    },
)


def test_blocks_of_vibe_are_edits() -> None:
    given = {"file_path": "a.py", "content": f"{ONE}\n{ONE}"}
    assert calls_of(native("search_replace", given, TOOLS)) == [EDIT, EDIT]
    ours = ("search_replace", {"path": "a.py", "blocks": given["content"]})
    assert calls_of(native("search_replace", given, (SEARCHER,))) == [ours]
    own = {"blocks": f"a.py\n{ONE}"}
    assert calls_of(native("search_replace", own, (SEARCHER,))) == [("search_replace", own)]
    assert isinstance(native("search_replace", {"file_path": "a.py", "content": "x"}, TOOLS), Rejected)
    usual = {"path": "a.py", "search": "x", "replace": "y"}
    assert calls_of(native("search_replace", usual, TOOLS)) == [("edit", {"path": "a.py", "old": "x", "new": "y"})]


@pytest.mark.parametrize(
    "diff",
    [
        "",
        "-old\n+new\n",
        ONE.replace(">>>>>>> REPLACE\n", ""),
        ONE.replace("=======\n", ""),
        ONE.replace("=======\n", "=======\n=======\n"),
        ONE + "and so on",
        "first:\n" + ONE,
        "b.py\n" + ONE,
        ONE + "<<<<<<< SEARCH\nx\n",
        ONE.replace("new\n", "<<<<<<< SEARCH\nnew\n"),
    ],
)
def test_blocks_that_are_not_whole_change_nothing(diff: str) -> None:
    assert isinstance(native("replace_in_file", {"path": "a.py", "diff": diff}, TOOLS), Rejected)


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"command": "view", "path": "a"}, ("read", {"path": "a"})),
        ({"command": "view", "path": "a", "view_range": [3, 7]}, ("read", {"path": "a", "offset": 3, "limit": 5})),
        ({"command": "view", "path": "a", "view_range": [3, -1]}, ("read", {"path": "a", "offset": 3})),
        ({"command": "create", "path": "a", "file_text": "x\n"}, ("write", {"path": "a", "content": "x\n"})),
        (
            {"command": "str_replace", "path": "a", "old_str": " x", "new_str": "y "},
            ("edit", {"path": "a", "old": " x", "new": "y "}),
        ),
        ({"command": "str_replace", "path": "a", "old_str": "x"}, ("edit", {"path": "a", "old": "x", "new": ""})),
    ],
)
@pytest.mark.parametrize("name", ["str_replace_editor", "str_replace_based_edit_tool"])
def test_an_editor_of_three_tools(name: str, given: Any, ours: tuple[str, Any]) -> None:
    assert calls_of(native(name, given, TOOLS)) == [ours]


@pytest.mark.parametrize(
    "given",
    [
        {"command": "insert", "path": "a", "insert_line": 3, "new_str": "x"},
        {"command": "undo_edit", "path": "a"},
        {"command": "create", "path": "a"},
        {"command": "str_replace", "path": "a", "new_str": "x"},
        {"command": "view"},
        {"command": "view", "path": "a", "view_range": [7, 3]},
    ],
)
def test_what_an_editor_is_told_otherwise_is_refused(given: Any) -> None:
    assert isinstance(native("str_replace_editor", given, TOOLS), Rejected)
