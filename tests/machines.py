"""Machines as their programs and files tell of them: recorded texts instead of the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hearth.weights.hardware.system_text import Printed

DATA = Path(__file__).parent / "data" / "hardware"


def told(name: str) -> str:
    """A recorded text, by its path below ``tests/data/hardware``."""
    return (DATA / name).read_text(encoding="utf-8")


class Programs:
    """Stands for the vendors' programs: answers by the longest beginning of the command that it knows, else absent."""

    def __init__(self, answers: Mapping[str, str | Printed]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str]) -> Printed:
        line = " ".join(command)
        self.asked.append(line)
        known = [start for start in self._answers if line == start or line.startswith(f"{start} ")]
        if not known:
            return Printed()
        answer = self._answers[max(known, key=len)]
        return Printed(answer) if isinstance(answer, str) else answer


def lay_out(root: Path, files: Mapping[str, str]) -> Path:
    """Write files of a system below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
