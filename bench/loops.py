"""How often what people really have in their files would be taken for a loop of a model's output.

Run as ``python -m bench.loops FOLDER...``: reads every text file below, as if a model wrote it, and names those that
would be cut.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from hearth.llm.ngrams import ANSWER, CALL, REASONING, Circling, Loop, Repetition

_KINDS = ".c .css .csv .go .h .html .js .json .map .md .py .rs .rst .sh .svg .toml .ts .txt .yml"
KINDS = frozenset(_KINDS.split())
LONGEST = 100_000
"""Characters of a file that are read: three times what a model writes in one answer."""
TOKEN = 4


ROWS = {"an answer": ANSWER, "a call": CALL, "reasoning": REASONING}


def find_loop(text: str, kind: str) -> Loop | None:
    """The loop that the text would be cut for."""
    repetition, circling, as_reasoning = Repetition(ROWS[kind]), Circling(), kind == "reasoning"
    text = json.dumps(text, ensure_ascii=False) if kind == "a call" else text
    for at in range(0, len(text), TOKEN):
        piece = text[at : at + TOKEN]
        if loop := repetition.add(piece) or (circling.add(piece) if as_reasoning else None):
            return loop
    return None


def main() -> None:
    """Read the folders and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    folders: list[Path] = parser.parse_args().folders
    files = sorted(
        {file for folder in folders for file in folder.rglob("*") if file.suffix in KINDS and file.is_file()}
    )
    characters, seconds = 0, 0.0
    cut: dict[str, list[str]] = {kind: [] for kind in ROWS}
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")[:LONGEST]
        characters += len(text)
        started = time.perf_counter()
        for kind, found in cut.items():
            if loop := find_loop(text, kind):
                found.append(f"{file} at {loop.start:,}: {loop.stretch[:50]!r}")
        seconds += time.perf_counter() - started
    for kind, found in cut.items():
        print(f"as {kind}: {len(found)} of {len(files):,} files would be cut")
        print("\n".join(f"  {line}" for line in found))
    print(f"{seconds / max(1, characters) * TOKEN * 1e6:.1f} µs a token for all, {characters:,} characters")


if __name__ == "__main__":
    main()
