"""What counts in the long output of tests and compilers: failures, last frames, verdict. Pure.

No parser of any one program: lines are ranked by what the known ones write, and kept in their order while there is
room: first the verdicts, then what says why something failed, then the rest of the failures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_VERDICTS = 12
LONGEST_BLOCK = 80
"""Lines of one failure that are looked at; frames, which are indented, go on."""
LAST_FRAMES = 8
"""Lines at the end of a failure, where its last frames and its message are."""
VERDICT_SHARE = 0.2
"""Of the room, for verdicts."""

_VERDICT = re.compile(
    r"=* ?(\d+ (failed|passed|errors?|skipped|deselected|xfailed|warnings?)(, )?)+ in [\d.]+s"  # pytest
    r"|={3,} .*(failed|passed|errors?).* ={3,}$|(FAILED|ERROR) \S+(::| - )|Interrupted: |no tests ran"
    r"|Ran \d+ tests? in |(FAILED|OK)( \(.*\))?$"  # unittest
    r"|\s*(Tests|Test Suites|Test Files|Snapshots):? +\d"  # jest, vitest
    r"|(FAIL|ok  )\t|FAIL$|PASS$|exit status \d"  # go
    r"|test result: |error: could not compile|error: test failed|error: aborting due to"  # cargo
    r"|(\[(INFO|ERROR|WARNING)\] )?Tests run: |\[INFO\] BUILD |BUILD (SUCCESSFUL|FAILED)|\d+ tests? completed"  # java
    r"|Found \d+ errors?|\d+ (errors?|warnings?)( and \d+ (errors?|warnings?))? generated"  # tsc, clang
    r"|(g?make|ninja)(\[\d+\])?: \*\*\*|ninja: build stopped|collect2: error|ld: "  # make, linkers
)
_HEAD = re.compile(
    r"_{3,} .+ _{3,}$"  # pytest
    r"|(FAIL|ERROR): \w"  # unittest
    r"|\s+● |\s*(FAIL|❯|×|✕) +\S"  # jest, vitest
    r"|\s*--- FAIL: |panic: |# \S+$|==================$"  # go, its race detector
    r"|---- .+ stdout ----$|error(\[E\d+\])?: "  # cargo
    r"|\[ERROR\] +\S|\S.* > .* FAILED$"  # maven, gradle
    r"|[^\s:(]+\(\d+,\d+\): error TS\d+|\S+:\d+:\d+ - error TS\d+"  # tsc
    r"|[^\s:]+:\d+:(\d+:)? (fatal )?error: |[^\s:]+: undefined reference|.*: undefined reference to"  # gcc, clang
    r"|(\s*\| )?\s*Traceback \(most recent call last\):"  # Python
)
_REASON = re.compile(
    r"E  |>  |[\w./-]+:\d+: [\w.]*(Error|Exception|Failed)?$"  # pytest
    r"|[\w.]*(Error|Exception|Warning|Exit|Interrupt)\b(: .*)?$|AssertionError"  # Python, unittest
    r"|\s+(Expected|Received|expected|received|got|want|actual|left|right)\b ?[:=]?"  # jest, go, cargo
    r"|\s*> +\d+ \||\s+at .+:\d+:\d+\)?$"  # jest
    r"|\s+\S+\.go:\d+: |\S+\.go:\d+:\d+: "  # go
    r"|thread '.*' panicked at|assertion .*failed|\s+--> "  # rust
    r"|\s*[\w.$]+(Exception|Error): |\s*Caused by: |\[ERROR\] "  # java
)
_END = re.compile(r"={3,}.*={3,}$|={20,}$|-{20,}$|(FAIL|ok)\t|test result: |\s*$")
_BLANK = re.compile(r"\s*$")


@dataclass(slots=True)
class _Block:
    """One failure: its lines from ``start`` to before ``end``."""

    start: int
    end: int


def focus(text: str, limit: int) -> str:
    """The lines that count, at most about ``limit`` characters of them, gaps counted; empty when no failure is in it.

    ``text`` has bounded lines (``truncate.cut_lines``).
    """
    lines = text.split("\n")
    blocks = _find_blocks(lines)
    if not blocks:
        return ""
    kept: set[int] = set()
    verdicts = [index for index, line in enumerate(lines) if _VERDICT.match(line)]
    room = limit - _take(lines, verdicts[::-1][:MOST_VERDICTS], kept, int(limit * VERDICT_SHARE))
    for wanted in (_heads_and_reasons, _last_lines, _all_lines):
        for block in blocks:
            room -= _take(lines, wanted(lines, block), kept, room)
    return _show(lines, kept, _unshown(blocks, kept))


def _find_blocks(lines: list[str]) -> list[_Block]:
    """The failures, each until the next one begins or a ruler ends it."""
    blocks: list[_Block] = []
    open_block: _Block | None = None
    for index, line in enumerate(lines):
        if _HEAD.match(line):
            # A traceback within a failure is a part of it: the failure goes on.
            inner = open_block and "Traceback" in line and index - open_block.start <= 4
            if not inner:
                open_block = _Block(index, index + 1)
                blocks.append(open_block)
        elif open_block and _ends(lines, index, open_block):
            # A deep traceback ends with the line that says why.
            open_block.end += bool(_REASON.match(line))
            open_block = None
        if open_block:
            open_block.end = index + 1
    return blocks


def _ends(lines: list[str], index: int, block: _Block) -> bool:
    if index - block.start >= LONGEST_BLOCK and not lines[index].startswith("  "):
        return True
    if not _END.match(lines[index]):
        return False
    # Right after its first line a failure may have a ruler; blank lines are within many.
    if index - block.start <= 2:
        return False
    return not _BLANK.match(lines[index]) or (index + 1 < len(lines) and bool(_BLANK.match(lines[index + 1])))


def _heads_and_reasons(lines: list[str], block: _Block) -> list[int]:
    reasons = [index for index in range(block.start + 1, block.end) if _REASON.match(lines[index])]
    return [block.start, *reasons[:3], *reasons[-3:]]


def _last_lines(lines: list[str], block: _Block) -> list[int]:
    return list(range(max(block.start, block.end - LAST_FRAMES), block.end))


def _all_lines(lines: list[str], block: _Block) -> list[int]:
    return list(range(block.start, block.end))


def _take(lines: list[str], wanted: list[int], kept: set[int], room: int) -> int:
    """Keep what fits of the wanted lines; the characters that they took."""
    used = 0
    for index in wanted:
        size = len(lines[index]) + 1
        if index not in kept and used + size <= room:
            kept.add(index)
            used += size
    return used


def _unshown(blocks: list[_Block], kept: set[int]) -> int:
    return sum(block.start not in kept for block in blocks)


def _show(lines: list[str], kept: set[int], unshown: int) -> str:
    shown: list[str] = []
    last = -1
    for index in [*sorted(kept), len(lines)]:
        if gap := index - last - 1:
            shown.append(f"[{gap} {'line' if gap == 1 else 'lines'} cut]")
        if index < len(lines):
            shown.append(lines[index])
        last = index
    if unshown:
        shown.append(f"[{unshown} more {'failure' if unshown == 1 else 'failures'} not shown]")
    return "\n".join(shown) + "\n"
