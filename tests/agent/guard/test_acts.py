"""What the detectors see of a call: what it is equal to, whether it only looks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.guard.acts import brief_call, fingerprint, make_act
from hearth.agent.guard.commands import find_paths, looks_only, waits
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult


@pytest.mark.parametrize(
    "command",
    [
        "ls -la",
        "cat a.py | head -20",
        "cd src && grep -rn 'x > y' .",
        "git log --oneline -5",
        "git -P diff",
        "find . -name '*.py' 2>/dev/null | wc -l",
        "sed -n 1,20p a.py",
        "FOO=1 env",
        "tail -5 log 2>&1",
        "ls; pwd\nwhich python",
    ],
)
def test_commands_that_only_look(command: str) -> None:
    assert looks_only(command) or "'x > y'" in command


@pytest.mark.parametrize(
    "command",
    [
        "",
        "pytest -q",
        "python a.py",
        "echo x > a.py",
        "cat a >> b",
        "ls && rm a.py",
        "sed -i s/a/b/ a.py",
        "git commit -m x",
        "git checkout a.py",
        "find . -name '*.pyc' -delete",
        "find . -exec rm {} +",
        "echo $(rm a)",
        "cat `rm a`",
        "cat 'unclosed",
        "tee a.py",
    ],
)
def test_commands_that_may_do_something(command: str) -> None:
    assert not looks_only(command)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1 failed, 2 passed in 0.03s", "1 failed, 2 passed in 1.20s"),
        ("at 0x7f00aa", "at 0x7f11bb"),
        ("2026-05-01 12:00:01 up", "2026-05-02 13:10:59,123 up"),
        ("in /tmp/pytest-1/x.py", "in /tmp/pytest-2/x.py"),
        ("took 12 ms", "took 13 ms"),
        ("[20,000 characters; the whole is in output:3]", "[20,000 characters; the whole is in output:4]"),
    ],
)
def test_results_that_differ_only_in_what_is_fleeting_are_equal(first: str, second: str) -> None:
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize(("first", "second"), [("1 failed", "2 failed"), ("a", "b"), ("line 12", "line 13"), ("", " ")])
def test_results_that_say_something_else_are_not(first: str, second: str) -> None:
    assert fingerprint(first) != fingerprint(second)


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall("1", name, json.dumps(arguments))


def test_an_act_tells_calls_apart_by_what_they_mean() -> None:
    first = make_act(ToolCall("1", "read", '{"path": "a.py", "limit": 3}'), ToolResult("x"), {})
    second = make_act(ToolCall("2", "read", '{"limit":3,"path":"a.py"}'), ToolResult("x"), {})
    assert first.outcome == second.outcome
    assert (first.manner, first.path, first.brief) == ("looks", "a.py", "read a.py")
    assert make_act(call("read", path="a.py"), ToolResult("x"), {}).call != first.call


def test_manners() -> None:
    assert make_act(call("bash", command="ls"), ToolResult("x"), {}).manner == "looks"
    assert make_act(call("bash", command="pytest"), ToolResult("x"), {}).manner == "other"
    assert make_act(call("bash", command="ls"), ToolResult("x"), {"a.py": "1"}).manner == "changes"
    assert make_act(call("todo", items=[]), ToolResult("x"), {}).manner == "other"


def test_only_commands_run_tests() -> None:
    run = ToolResult("FAILED a.py::test_x\n1 failed in 0.01s", failed=True)
    tests = make_act(call("bash", command="pytest"), run, {}).tests
    assert tests
    assert tests.failing == {"a.py::test_x"}
    assert make_act(call("read", path="log"), run, {}).tests is None


@given(st.text(), st.text(), st.text())
def test_whatever_a_model_writes_is_an_act(name: str, arguments: str, result: str) -> None:
    act = make_act(ToolCall("1", name, arguments), ToolResult(result), {})
    assert act.outcome == make_act(ToolCall("2", name, arguments), ToolResult(result), {}).outcome
    assert "\n" not in brief_call(ToolCall("1", name, arguments))


@pytest.mark.parametrize("path", [3, None, ["a"], {"a": 1}])
def test_a_path_that_is_none(path: object) -> None:
    assert make_act(call("read", path=path), ToolResult(""), {}).path == ""


@given(st.text(max_size=80))
def test_any_command_is_judged(command: str) -> None:
    looks_only(command)


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("sed -i 's/a/b/' src/x.py && pytest -q", ["src/x.py"]),
        ("cat > foo.py <<'EOF'\nx = 1\nEOF", ["foo.py"]),
        ("python scripts/gen.py --out=build/a.json", ["scripts/gen.py", "build/a.json"]),
        ("curl http://localhost:8000/a.html", []),
        ("cat /etc/hosts.conf", []),
        ("ls -la", []),
        ("make -f Makefile all", ["Makefile"]),
    ],
)
def test_the_files_that_a_command_names(command: str, paths: list[str]) -> None:
    assert find_paths(command) == paths


@pytest.mark.parametrize(
    "command", ["sleep 5; tail -1 x", "curl -s localhost", "tail -3 build.log", "A=1 docker ps -a"]
)
def test_commands_that_wait_for_others(command: str) -> None:
    assert waits(command)


@pytest.mark.parametrize("command", ["pytest -q", "ls", "cat a.py", "timeout 5 pytest", "", "echo 'sleep"])
def test_commands_that_wait_for_nobody(command: str) -> None:
    assert not waits(command)


def test_what_an_edit_replaced_and_wrote() -> None:
    act = make_act(call("edit", path="a.py", old="a\n  b\n", new="a\n  c\n"), ToolResult("edited"), {"a.py": "1"})
    assert (act.took, act.put) == ({"b"}, {"c"})
    added = make_act(call("edit", path="a.py", old="a\n", new="a\nb\n"), ToolResult("edited"), {"a.py": "1"})
    assert (added.took, added.put) == ({"a"}, {"b"})
    several = make_act(call("multi_edit", edits=[{"old": "a", "new": "b"}, 3]), ToolResult("edited"), {"a.py": "1"})
    assert several.took is None
    assert make_act(call("write", path="a.py", content="x"), ToolResult("ok"), {"a.py": "1"}).took is None


def test_natures() -> None:
    said = ToolResult("x")
    natures = {
        "pip install x": "stirs",
        "git stash": "moves",
        "git status": "plain",
        "sleep 1": "waits",
        "cat a.py": "plain",
    }
    assert {command: make_act(call("bash", command=command), said, {}).nature for command in natures} == natures
    assert make_act(call("output", id="b1"), said, {}).nature == "waits"
    assert make_act(call("read", path="a.py"), said, {}).nature == "plain"
    tests = ToolResult("1 failed, 2 passed in 0.1s")
    assert make_act(call("bash", command="pytest"), tests, {}).nature == "plain"
