"""One saved state in one file: the engine's bytes as it wrote them, then our record of them.

The record comes last because the engine writes the file itself and reads no further than it wrote (tried on llama.cpp
b11549, all kinds of memory). It must be checked before the engine sees the file: a state that was cut short aborts the
whole engine, and a flipped bit is taken without a word and answers wrongly (both tried).

    state of the engine | record, JSON | length of the record, 8 bytes | HEARTHKV
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import xxhash

MAGIC = b"HEARTHKV"
MOST_RECORD_BYTES = 16 << 20
_CHUNK = 4 << 20
_TAIL = 8 + len(MAGIC)
Count = Annotated[int, msgspec.Meta(ge=0)]


class DamagedEntry(Exception):
    """The file is not a whole entry; the message says why."""


class Record(msgspec.Struct, frozen=True):
    """What an entry holds. ``links`` maps each key of the conversation to the tokens up to there; the last is the end
    of what was asked, ``tokens`` what the state holds in all. ``base`` marks system text and tools alone."""

    name: str
    model: str
    links: dict[str, Count]
    tokens: Count
    base: bool
    made_at: float
    state_bytes: Count
    checksum: str
    version: int = 1

    @property
    def last_key(self) -> str:
        """The key of the last message that was asked with."""
        return next(reversed(self.links))


def checksum(path: Path, length: int) -> str:
    """XXH3 of the first ``length`` bytes: some 10 GB a second, so that a restore stays quicker than a prefill."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while length > 0:
            chunk = file.read(min(_CHUNK, length))
            if not chunk:
                break
            digest.update(chunk)
            length -= len(chunk)
    return digest.hexdigest()


def seal(path: Path, record: Record) -> None:
    """Add the record to what the engine wrote. Raises OSError."""
    text = msgspec.json.encode(record)
    with path.open("ab") as file:
        file.write(text + len(text).to_bytes(8, "little") + MAGIC)
    path.chmod(0o600)


def read_record(path: Path) -> Record:
    """The record at the end of a file. Raises DamagedEntry, OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL:
            raise DamagedEntry("too short")
        file.seek(size - _TAIL)
        tail = file.read(_TAIL)
        length = int.from_bytes(tail[:8], "little")
        if tail[8:] != MAGIC or not 0 < length <= min(MOST_RECORD_BYTES, size - _TAIL):
            raise DamagedEntry("it does not end as an entry does")
        file.seek(size - _TAIL - length)
        text = file.read(length)
    try:
        record = msgspec.json.decode(text, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedEntry(f"its record cannot be read: {error}") from error
    if record.version != 1:
        raise DamagedEntry(f"it is of version {record.version}, which this hearth does not know")
    if record.state_bytes != size - _TAIL - length or not record.links:
        raise DamagedEntry("its record tells of another file")
    return record


def check_state(path: Path, record: Record) -> None:
    """Read the whole state and compare. Raises DamagedEntry, OSError."""
    if checksum(path, record.state_bytes) != record.checksum:
        raise DamagedEntry("its checksum is not that of its bytes")
