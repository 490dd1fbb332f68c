"""The entries on disk, and which of them a conversation begins with.

The files are all there is: their records are read at the start, and what is found by them is kept in memory. So there
is no index that could be damaged, or at odds with the files (decision 0005). When an entry was last used is the time
of its file.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from hearth.runtime.kv.chain import Chain
from hearth.runtime.kv.entry import DamagedEntry, Record, check_state, checksum, read_record, seal
from hearth.runtime.kv.placement import Match

SUFFIX = ".kv"
PART = ".part"
QUOTA_SHARE = 0.1
"""Share of the free disk that entries may take when the owner sets nothing."""
MOST_QUOTA_BYTES = 50 << 30
WARN_AGAIN_S = 3600.0
"""The same trouble is told once in this time: a full disk is met at every save."""

log = logging.getLogger("hearth.runtime")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``bytes`` is the whole file; ``used_at`` is in seconds since the epoch."""

    record: Record
    bytes: int
    used_at: float


class KvStore:
    """Saved states in one folder. Its calls wait for the disk; they may come from any thread.

    Another process may remove entries, and may list them, but only one may ``open`` a folder and save into it.
    """

    def __init__(self, folder: Path, quota_bytes: int = 0) -> None:
        """``quota_bytes`` 0 takes a tenth of the free disk, 50 GiB at most. Nothing is touched yet."""
        self.folder = folder
        self.damaged = 0
        """Entries that were dropped because they were not whole, or did not keep what they promised."""
        self._quota = quota_bytes
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        self._checked: set[str] = set()
        self._warned: dict[str, float] = {}
        self._open = False

    def open(self) -> None:
        """Make the folder, remove what a crash left and what is damaged, and read what is there. Raises OSError.

        Once it is open, nothing is done: an engine may be writing for which another opened it.
        """
        with self._lock:
            if self._open:
                return
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            self.clear_parts()
            damaged = self.read()
            self._open = True
        for path in damaged:
            self.damaged += 1
            _remove(path)
        if damaged:
            self.warn("damaged", f"{len(damaged)} of the saved KV states in {self.folder} were damaged and are removed")

    def clear_parts(self) -> None:
        """Remove what was not written to its end. No engine may be writing."""
        for rest in self.folder.glob(f"*{PART}"):
            _remove(rest)

    def room(self) -> int:
        """Bytes that one more entry may have: within the quota, and a sixteenth of the free disk is left alone.
        Raises OSError."""
        return min(self.quota(), shutil.disk_usage(self.folder).free * 15 // 16)

    def read(self) -> list[Path]:
        """Read the records of all entries, and change nothing. The files that are none. Raises OSError for the folder
        itself."""
        damaged: list[Path] = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                record = read_record(path)
                if record.name != path.stem:
                    raise DamagedEntry("it was renamed")
                status = path.stat()
            except FileNotFoundError:
                continue
            except DamagedEntry:
                damaged.append(path)
                continue
            except OSError:
                continue
            self._take_in(Entry(record, status.st_size, status.st_mtime))
        return damaged

    def find(self, chain: Chain, most_tokens: int | None = None) -> Match | None:
        """The entry that holds most of this conversation's messages; of several, one that ends there, the latest.
        Those of more than ``most_tokens`` are left out: the engine has no room for them."""
        with self._lock:
            for count in range(len(chain.keys), 0, -1):
                key = chain.keys[count - 1]
                entries = [self._entries[name] for name in self._holders.get(key, ())]
                entries = [entry for entry in entries if most_tokens is None or entry.record.tokens <= most_tokens]
                if entries:
                    best = max(entries, key=lambda entry: (entry.record.last_key == key, entry.used_at))
                    whole = best.record.last_key == key
                    return Match(best.record.name, count, best.record.links[key], whole)
        return None

    def has_base(self, key: str) -> bool:
        """Whether system text and tools of this key are saved by themselves."""
        with self._lock:
            return any(self._entries[name].record.base for name in self._holders.get(key, ()))

    def check(self, name: str) -> Record | None:
        """The entry's record, read anew; its bytes are compared with its checksum once in this process's life. None
        when it is gone, or damaged: then it is dropped and counted."""
        path = self.path_of(name)
        try:
            record = read_record(path)
            if name not in self._checked:
                check_state(path, record)
                self._checked.add(name)
            now = time.time()
            os.utime(path, (now, now))
        except FileNotFoundError:
            self.forget(name)
            return None
        except (DamagedEntry, OSError) as error:
            self.damaged += 1
            cause = "folder" if isinstance(error, OSError) else "damaged"
            self.warn(cause, f"the saved KV state {path} cannot be used and is removed: {error}")
            self.drop(name)
            return None
        with self._lock:
            if entry := self._entries.get(name):
                self._entries[name] = Entry(record, entry.bytes, now)
        return record

    def lend(self, name: str) -> str:
        """A second name of an entry's file, for an engine that is to read it: ``take_back`` it afterwards.

        llama-server opens the file twice, for the state and then for its checkpoints. Who drops the entry in between (a
        longer one takes its place, the quota, another process) would leave a state without a way back.
        """
        loan = self.new_part()
        try:
            os.link(self.path_of(name), loan)
        except OSError:
            # Gone, or the file system knows no second names: the engine sees what is there.
            return self.path_of(name).name
        return loan.name

    def take_back(self, loan: str) -> None:
        """End a loan."""
        if loan.endswith(PART):
            _remove(self.folder / loan)

    def new_part(self) -> Path:
        """Where the engine may write a state that ``add`` then takes in."""
        return self.folder / f"{secrets.token_hex(16)}{PART}"

    def add(
        self, part: Path, written: int, model: str, links: dict[str, int], tokens: int, *, base: bool = False
    ) -> str:
        """Take in the ``written`` bytes of an engine: seal and publish them, drop what they supersede, keep to the
        quota.

        ``links`` and ``tokens`` as in a Record. The entry's name. Raises OSError; then the part is gone.
        """
        name, now = part.name.removesuffix(PART), time.time()
        try:
            size = part.stat().st_size
            if size != written or not size:
                raise OSError(errno.EIO, f"the engine wrote {written} bytes, and {size} are there")
            if size > self.quota():
                raise OSError(errno.ENOSPC, f"it has {size / 2**20:,.0f} MiB, more than the quota")
            record = Record(name, model, links, tokens, base, now, size, checksum(part, size))
            seal(part, record)
            part.replace(self.path_of(name))
        except BaseException:
            _remove(part)
            raise
        self._checked.add(name)
        with self._lock:
            superseded = self._superseded(record)
            self._take_in(Entry(record, self.path_of(name).stat().st_size, now))
        for old in superseded:
            self.drop(old)
        self.prune(keep=name)
        return name

    def drop(self, name: str) -> None:
        """Remove an entry, there or not."""
        self.forget(name)
        _remove(self.path_of(name))

    def forget(self, name: str) -> None:
        """Know no more of an entry, whose file stays as it is."""
        with self._lock:
            self._checked.discard(name)
            if entry := self._entries.pop(name, None):
                for key in entry.record.links:
                    self._holders[key].discard(name)
                    if not self._holders[key]:
                        del self._holders[key]

    def entries(self) -> list[Entry]:
        """All of them, the most recently used first."""
        with self._lock:
            return sorted(self._entries.values(), key=lambda entry: -entry.used_at)

    def quota(self) -> int:
        """Bytes that all entries together may take. Raises OSError."""
        if self._quota:
            return self._quota
        used = sum(entry.bytes for entry in self.entries())
        return min(MOST_QUOTA_BYTES, int((shutil.disk_usage(self.folder).free + used) * QUOTA_SHARE))

    def prune(self, quota: int | None = None, keep: str = "") -> list[Entry]:
        """Remove what was not used for longest until the rest is within the quota (or this one), base entries last;
        ``keep`` stays. What was removed. Raises OSError."""
        limit = self.quota() if quota is None else quota
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        removed: list[Entry] = []
        for entry in sorted(entries, key=lambda entry: (entry.record.base, entry.used_at)):
            if total <= limit:
                break
            if entry.record.name != keep:
                self.drop(entry.record.name)
                total -= entry.bytes
                removed.append(entry)
        return removed

    def clear(self, model: str = "") -> list[Entry]:
        """Remove all, or what belongs to one model. What was removed."""
        removed = [entry for entry in self.entries() if not model or entry.record.model == model]
        for entry in removed:
            self.drop(entry.record.name)
        return removed

    def warn(self, cause: str, text: str) -> None:
        """Tell the log of a trouble, unless one of the same cause was told within the hour."""
        now = time.monotonic()
        if now - self._warned.get(cause, -WARN_AGAIN_S) >= WARN_AGAIN_S:
            self._warned[cause] = now
            log.warning("%s", text)

    def path_of(self, name: str) -> Path:
        """The entry's file, there or not."""
        return self.folder / f"{name}{SUFFIX}"

    def _take_in(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.record.name] = entry
            for key in entry.record.links:
                self._holders[key].add(entry.record.name)

    def _superseded(self, record: Record) -> list[str]:
        """The entries of which this one is the continuation: each ends at a message that is here too. A base has none
        but the older ones of the same system text."""
        found = {name for key in record.links for name in self._holders.get(key, ())}
        entries = [self._entries[name].record for name in found]
        return [old.name for old in entries if old.last_key in record.links and old.base == record.base]


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
