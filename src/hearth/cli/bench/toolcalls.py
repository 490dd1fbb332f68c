"""``hearth bench toolcalls``: how many recorded answers are judged right."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.cli.plain import printable
from hearth.errors import UsageError
from hearth.llm.repair.cases import BadCase, Case, Result, RightCall, is_right, react, read_cases
from hearth.paths import Paths


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Score the file: each mismatch, then ``N of M right``. 1 if one is wrong. Raises UsageError for a file that cannot
    be read, with the line that is at fault."""
    cases = _read(Path(args.file))
    wrong = [(case, result) for case in cases if not is_right(case, result := react(case))]
    right = len(cases) - len(wrong)
    if args.json:
        mismatches = [_to_json(case, result) for case, result in wrong]
        print(json.dumps({"right": right, "of": len(cases), "mismatches": mismatches}, ensure_ascii=False))
    else:
        for case, result in wrong:
            print(f"{printable(case.id)}: expected {_tell(case.expect.outcome, case.expect.calls, case.expect.note)}")
            print(f"  got {_tell(result.outcome, result.calls, result.note)}")
        print(f"{right} of {len(cases)} right")
    return 1 if wrong else 0


def _read(file: Path) -> list[Case]:
    try:
        return list(read_cases(file.read_bytes()))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a file of recorded answers") from error
    except BadCase as error:
        raise UsageError(f"{file}, {error}", "one JSON object a line; the format is in tests/data/README.md") from error


def _tell(outcome: str, calls: list[RightCall] | tuple[RightCall, ...], note: str) -> str:
    said = " ".join(f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in calls)
    whole = " ".join(part for part in (outcome, said, f"({note})" if note else "") if part)
    return printable(whole).replace("\n", " ")


def _to_json(case: Case, result: Result) -> dict[str, Any]:
    def calls(found: list[RightCall] | tuple[RightCall, ...]) -> list[dict[str, Any]]:
        return [{"name": call.name, "arguments": call.arguments} for call in found]

    return {
        "id": case.id,
        "expected": {"outcome": case.expect.outcome, "calls": calls(case.expect.calls), "note": case.expect.note},
        "got": {"outcome": result.outcome, "calls": calls(result.calls), "note": result.note},
    }
