"""What a project file's content is, in few bytes, so that it is known again."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

LARGEST = 1024 * 1024
"""Bytes; a larger file is known by its size and time, which is right but for one changed back."""


class Digests:
    """Tells what files of one folder are. Never raises: what cannot be read has no content."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, path: str) -> str:
        """What identifies the content; empty for what is no regular file."""
        try:
            # Never opened through a link, and never waited for: a model may name a FIFO.
            descriptor = os.open(self._directory / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return ""
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return ""
            if found.st_size > LARGEST:
                return f"{found.st_size} {found.st_mtime_ns}"
            content = os.read(descriptor, LARGEST + 1)
            return hashlib.blake2b(content, digest_size=16).hexdigest()
        except OSError:
            return ""
        finally:
            os.close(descriptor)
