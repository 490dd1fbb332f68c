"""Set-up refuses in one line what it cannot work with, before it touches anything."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("argument", "python", "code", "said"),
    [
        ("everything", "", 2, "usage: scripts/setup.sh run|dev"),
        ("run", "/bin/false", 1, "setup: PYTHON=/bin/false is not Python 3.11, 3.12 or 3.13 · give another one"),
        ("run", "/nowhere/python", 1, "setup: PYTHON=/nowhere/python is not Python 3.11, 3.12 or 3.13"),
        ("run", "", 1, "setup: no Python 3.11, 3.12 or 3.13 found · install one"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path: Path, argument: str, python: str, code: int, said: str) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")  # all that it needs to get so far
    script = [str(ROOT / "scripts" / "setup.sh"), argument]
    done = subprocess.run(
        ["/bin/sh", *script], env={"PATH": str(tmp_path), "PYTHON": python}, capture_output=True, text=True
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
