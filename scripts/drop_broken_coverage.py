"""Removes coverage data that a killed process left half written: one such file ends ``coverage combine``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def is_whole(file: Path) -> bool:
    """Whether a data file can be read from end to end."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as data:
            (said,) = data.execute("pragma integrity_check").fetchone()
            versions = data.execute("select version from coverage_schema").fetchall()
            return bool(said == "ok" and versions)
    except sqlite3.Error:
        return False


if __name__ == "__main__":
    for found in Path().glob(".coverage.*"):
        if not is_whole(found):
            found.unlink()
