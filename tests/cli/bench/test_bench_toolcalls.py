"""``hearth bench toolcalls`` as a person runs it."""

import json
from pathlib import Path

import pytest

from hearth.cli.main import main

FILE = Path(__file__).parents[2] / "data" / "toolcalls.jsonl"


def wrong(line: bytes) -> bytes:
    case = json.loads(line)
    case["expect"] = {"outcome": "text", "calls": [], "note": "\x1b[31mred"}
    return json.dumps(case).encode()


def test_all_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "toolcalls", str(FILE)]) == 0
    assert capsys.readouterr().out == "150 of 150 right\n"


def test_a_mismatch_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = FILE.read_bytes().splitlines()
    file = tmp_path / "some.jsonl"
    file.write_bytes(b"\n".join([wrong(lines[0]), lines[1], lines[-1]]))
    assert main(["bench", "toolcalls", str(file)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "leak-hermes/01: expected text ([31mred)"
    assert told[1] == '  got calls read({"path": "src/config/loader.py"})'
    assert told[-1] == "2 of 3 right"


@pytest.mark.parametrize(("member", "value"), [("path", "src/config/other.py"), ("limit", 3)])
def test_an_argument_too_many_or_another_one_is_a_mismatch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, member: str, value: object
) -> None:
    case = json.loads(FILE.read_bytes().splitlines()[0])
    case["expect"]["calls"][0]["arguments"][member] = value
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(case))
    assert main(["bench", "toolcalls", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["right"], told["of"], told["mismatches"][0]["id"]) == (0, 1, "leak-hermes/01")
    assert told["mismatches"][0]["got"]["calls"] == [{"name": "read", "arguments": {"path": "src/config/loader.py"}}]


def test_one_and_true_are_not_the_same(tmp_path: Path) -> None:
    case = json.loads(FILE.read_bytes().splitlines()[0])
    case["content"] = '<tool_call>{"name": "read", "arguments": {"path": "a", "limit": 1}}</tool_call>'
    case["expect"]["calls"][0]["arguments"] = {"path": "a", "limit": True}
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(case))
    assert main(["bench", "toolcalls", str(file)]) == 1


@pytest.mark.parametrize("data", [b"{", b'{"id": 3}', b'{"id": "x", "expect": {"outcome": "maybe"}}', b"\xff\xfe"])
def test_a_line_that_is_no_case_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(FILE.read_bytes().splitlines()[0] + b"\n\n" + data)
    assert main(["bench", "toolcalls", str(file)]) == 2
    assert "bad.jsonl, line 3: " in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "toolcalls", str(tmp_path / "none")]) == 2
    assert "none: No such file" in capsys.readouterr().err
