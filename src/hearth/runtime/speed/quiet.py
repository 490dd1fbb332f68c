"""Whether a machine is quiet enough to be measured."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from hearth.weights.hardware.system_text import read_file

QUIET_SHARE = 0.3
"""Of the processors, what others may use before nothing is kept of what was measured beside them."""


async def busy_share(seconds: float = 1.0, root: Path = Path("/")) -> float:
    """How much of all processors' time was used in the next seconds, 0 to 1; 0 where the system does not tell (it has
    no ``/proc/stat``)."""
    before = parse_stat(read_file(root / "proc/stat"))
    await asyncio.sleep(seconds)
    after = parse_stat(read_file(root / "proc/stat"))
    used, there = after[0] - before[0], after[1] - before[1]
    return min(max(used / there, 0.0), 1.0) if there > 0 else 0.0


def parse_stat(text: str) -> tuple[int, int]:
    """Ticks of all processors together that were used, and that there were, of ``/proc/stat``; zeros for nonsense."""
    told = re.match(r"cpu +(\d{1,18}(?: \d{1,18}){3,})", text)
    if told is None:
        return 0, 0
    # user, nice, system, idle, iowait, irq, softirq, steal; then guests, which are in the first two already.
    ticks = [int(word) for word in told[1].split()][:8]
    return sum(ticks) - sum(ticks[3:5]), sum(ticks)
