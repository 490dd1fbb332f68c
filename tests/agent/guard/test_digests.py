"""What a file is, whatever it is."""

import os
from pathlib import Path

from hearth.agent.guard.digests import LARGEST, Digests


def test_contents_are_known_again(tmp_path: Path) -> None:
    digest = Digests(tmp_path)
    (tmp_path / "a.py").write_text("one")
    first = digest("a.py")
    (tmp_path / "a.py").write_text("two")
    assert digest("a.py") != first
    (tmp_path / "a.py").write_text("one")
    assert digest("a.py") == first


def test_what_is_no_file_has_no_content(tmp_path: Path) -> None:
    digest = Digests(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for path in ("gone", ".", "fifo", "link", "a\0b", "\ud800", "x" * 5_000):
        assert digest(path) == ""


def test_large_files_are_known_too(tmp_path: Path) -> None:
    digest = Digests(tmp_path)
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    first = digest("large")
    (tmp_path / "large").write_bytes(bytes(LARGEST + 2))
    assert "" != first != digest("large")
