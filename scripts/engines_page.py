"""Writes the tables of docs/engines.md from what the engines declare and what the conformance suite finds.

``python scripts/engines_page.py`` writes, ``--check`` only looks whether the page is as it would be written.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "conformance"), str(ROOT / "tests")]
from engine_checks import CHECKS  # noqa: E402  # a script is no package: its folders must be on the path first
from engine_subjects import SUBJECTS  # noqa: E402  # the same

from hearth.runtime.capabilities import Capabilities  # noqa: E402  # the same

PAGE = ROOT / "docs" / "engines.md"
TITLES = {
    "own_process": "hearth starts and ends it",
    "explicit_context": "hearth says how many tokens a request may hold",
    "saves_kv": "saved conversations (`docs/kv.md`)",
    "progress": "progress of the prompt in the stream",
    "activity": "tells what it is doing",
    "overflow_counts": "a prompt that is too long is refused with both numbers",
    "cached_tokens": "tells how much of a prompt it had already",
    "speeds": "tells how fast it read and wrote",
    "grammar": "GBNF grammars, llama.cpp's own samplers",
    "json_schema": "answers that fit a JSON schema",
    "forced_tools": "`tool_choice` beyond `auto` and `none`",
    "template_arguments": "`chat_template_kwargs` beyond thinking",
    "logprobs": "`logprobs`, `logit_bias`, `n`",
    "infill": "fill-in-the-middle by a route of its own",
    "raw": "raw prompts (`/v1/completions`)",
}
"""What the page says of each capability."""


def capability_table() -> list[str]:
    """What each engine can do, by its own declaration."""
    names = [field.name for field in dataclasses.fields(Capabilities)]
    rows = [
        [TITLES[name], *("yes" if getattr(subject.capabilities, name) else "no" for subject in SUBJECTS)]
        for name in names
    ]
    return table(["", *(subject.name for subject in SUBJECTS)], rows)


def suite_table() -> list[str]:
    """What the suite asks of each, and finds."""
    rows = [["asked here", *(subject.program for subject in SUBJECTS)]]
    rows += [[check.title, *(check.expect(subject) for subject in SUBJECTS)] for check in CHECKS]
    return table(["", *(subject.name for subject in SUBJECTS)], rows)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def page_with_tables(text: str) -> str:
    """The page with its tables as they are now."""
    for name, lines in (("capabilities", capability_table()), ("suite", suite_table())):
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition(f"<!-- end of {name} -->\n")
        if not begin or not end:
            raise SystemExit(f"docs/engines.md has no place for the table of {name}")
        text = head + begin + "\n".join(lines) + "\n" + end + tail
    return text


def main(arguments: list[str]) -> int:
    """Write or check. Returns the exit code."""
    before = PAGE.read_text(encoding="utf-8")
    after = page_with_tables(before)
    if "--check" in arguments:
        if before != after:
            print("docs/engines.md is stale · run: .venv/bin/python scripts/engines_page.py", file=sys.stderr)
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
