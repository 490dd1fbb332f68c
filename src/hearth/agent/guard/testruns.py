"""Which tests failed, read from what a test program printed: pure.

Names are only compared with each other, so it does not matter how a program writes them, as long as it does so each
time. A line that could be of another program than a test run counts for nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run of tests. ``failing`` are names; what could not even be loaded is among them. ``passed`` is a number.
    ``why`` is the same for two runs that fail for the same reasons, as far as their output tells them."""

    failing: frozenset[str]
    passed: int
    why: str = field(default="", compare=False)


_NAMES = re.compile(
    r"^(?:"
    r"(?:FAILED|ERROR) (?P<pytest>\S+\.py(?:::.*?)?)(?: - .*)?"
    r"|(?:FAIL|ERROR): (?P<unittest>\w+ \(.+?\))(?: .*)?"
    r"|\s+● (?P<jest>\S.*)"
    r"|\s*(?:FAIL|×|✕|✖) +(?P<vitest>\S.*? > \S.*?)(?: \d+ ?ms)?"
    r"|\s+\d+\) (?P<mocha>\S.*?):?"
    r"|not ok \d+ (?:- )?(?P<tap>.+)"
    r"|\s*--- FAIL: (?P<go>\S+) \(.*\)"
    r"|FAIL\t(?P<package>\S+)(?:\t.*| \[.* failed\])?"
    r"|test (?P<cargo>\S+) \.\.\. FAILED"
    r"|error(?:\[E\d+\])?: could not compile `(?P<crate>[^`]+)`.*"
    r")\s*$",
    re.MULTILINE,
)
_PASSED = re.compile(
    r"^(?:=+ )?(?:.*, )?(?P<pytest>\d+) passed\b.* in [\d.]+ ?s.*$"
    r"|^ *Tests:? +(?:.*?[,|] +)?(?P<jest>\d+) passed\b"
    r"|^\s+(?P<mocha>\d+) passing\b"
    r"|^# pass (?P<tap>\d+)$"
    r"|^test result: \w+\. (?P<cargo>\d+) passed;"
    r"|^(?P<go>\s*--- PASS: |ok  \t)",
    re.MULTILINE,
)
_REASON = re.compile(
    r"^E  |^FAILED |(?:Error|Exception)\b|panicked|undefined|assert"
    r"|^\s*(?:expected|received|actual|got|want|left|right)\b",
    re.IGNORECASE,
)
LONGEST_REASON = 500
_PLACE = re.compile(r":\d+(?::\d+)?\b|\bline \d+")
_UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s$", re.MULTILINE)
_SKIPPED = re.compile(r"^(?:OK|FAILED) \(.*?\bskipped=(\d+)", re.MULTILINE)
_RUN = re.compile(
    r"\b\d+ (?:passed|failed|errors?)\b.* in [\d.]+ ?s"  # pytest
    r"|^no tests ran in"
    r"|^Ran \d+ tests? in "  # unittest
    r"|^ *Tests:? +.*\b(?:passed|failed)\b"  # jest, vitest
    r"|^\s+\d+ (?:passing|failing)\b"  # mocha
    r"|^# (?:pass|fail) \d+$"  # TAP
    r"|^(?:FAIL|ok  )\t"  # go
    r"|^test result: |could not compile `",  # cargo
    re.MULTILINE,
)
"""Without one of these the output is not of a test run: a log may hold lines that look like failures."""


def read_test_run(output: str) -> Verdict | None:
    """The run that the output tells of; None when it tells of none."""
    if not _RUN.search(output):
        return None
    failing = frozenset(name for found in _NAMES.finditer(output) if (name := found[found.lastgroup or 0].strip()))
    passed = 0
    for found in _PASSED.finditer(output):
        passed += 1 if found.lastgroup == "go" else int(found[found.lastgroup or 0])
    for ran in _UNITTEST.findall(output):
        skipped = sum(map(int, _SKIPPED.findall(output)))
        passed += max(0, int(ran) - len(failing) - skipped)
    return Verdict(failing, passed, _find_reasons(output))


def _find_reasons(output: str) -> str:
    """What the lines say that tell why something failed, without the numbers of lines, which move with each edit."""
    lines = {
        _PLACE.sub("", line[:LONGEST_REASON]) for line in output.split("\n") if _REASON.search(line[:LONGEST_REASON])
    }
    return hashlib.blake2b("\n".join(sorted(lines)).encode("utf-8", "replace"), digest_size=8).hexdigest()
