"""What a project was at some moment, and back to it: git's objects in a store of ours, nothing of the owner's."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hearth.errors import StateError
from hearth.workspace.snapshots.capture import Capture
from hearth.workspace.snapshots.clock import Span, changed_between, time_at
from hearth.workspace.snapshots.difference import Change, Plan, compare, decide
from hearth.workspace.snapshots.git import LostError, ObjectStore, unusable
from hearth.workspace.snapshots.restore import Restoration, check_whole, wanted_by
from hearth.workspace.snapshots.state import State, read_state, write_state
from hearth.workspace.snapshots.survey import Bounds

__all__ = ["Bounds", "LostError", "Prepared", "Restored", "Snapshots", "store_for"]

RECENT_S = 3600.0
"""A snapshot that is younger is kept by every pruning: its session may not have noted it yet."""
PLAIN = Bounds()

Step = tuple[str, str]
"""From the snapshot that the project is expected to be at, to the one that it is to be at."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a restoration would do. ``before`` is a snapshot of how the project is now."""

    before: str
    plan: Plan
    state: State

    @property
    def conflicts(self) -> tuple[str, ...]:
        """What somebody else changed since."""
        return self.plan.conflicts


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restoration did. ``after`` is a snapshot of how the project is now; ``left`` has what could not be done,
    with why."""

    after: str
    done: tuple[str, ...]
    left: dict[str, str]


def store_for(folder: Path, root: Path) -> Path:
    """Where the snapshots of this project are, below ``folder``."""
    mark = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', root.name)[:40]}-{mark}"


class Snapshots:
    """The snapshots of one project. Its methods take long and block: call them in a thread. Several processes and
    threads may use one store; each waits for the others. Every method raises StateError, and then has changed nothing
    but what ``carry_out`` says."""

    def __init__(self, root: Path, store: Path, leave: Iterable[str | Path] = (), *, bounds: Bounds = PLAIN) -> None:
        """``leave`` is left out: folders' names, paths below the root, or whole paths (ours, if they are below)."""
        self.root = root.resolve()
        self.store = store
        self._objects = ObjectStore(store)
        self._leave = frozenset(_relative(self.root, [*leave, store]))
        self._bounds = bounds
        self._state = State()
        self._state_mark = (0, 0)

    def capture(self) -> str:
        """Keep the project as it is now; the snapshot's name. The same content has the same name."""
        with self._locked(), self._root() as root:
            return self._capture(root).id

    def diff(self, one: str, other: str) -> dict[str, Change]:
        """What changed from one snapshot to the other, by path."""
        with self._locked(), self._objects.reading() as reader:
            return compare(cache(reader.tree), one, other)

    def time(self) -> int:
        """What a change that happens now would be dated, 0 where the file system does not say."""
        return time_at(self.root)

    def changed_between(self, one: str, other: str, spans: Sequence[Span]) -> tuple[str, ...]:
        """Of the files that differ between two snapshots, those that were last changed since the first of these spans,
        and in none of them. Of what is gone, and of folders, nobody knows."""
        changes = self.diff(one, other)
        files = sorted(path for path, change in changes.items() if change.new and change.new.kind != "d")
        return tuple(path for path in files if changed_between(self.root / path, spans))

    def prepare(
        self,
        steps: Sequence[Step],
        *,
        sure: bool = True,
        force: bool = False,
        again: bool = False,
        within: Sequence[Step] = (),
    ) -> Prepared:
        """Look at what going these steps would do; see ``decide``. Changes nothing in the project. With ``within`` only
        paths are touched that these other steps touch."""
        with self._locked(), self._root() as root:
            state = self._capture(root)
            with self._objects.reading() as reader:
                tree = cache(reader.tree)
                differences = [compare(tree, one, other) for one, other in steps]
                if within:
                    touched = {path for one, other in within for path in compare(tree, one, other)}
                    differences = [{path: step[path] for path in step.keys() & touched} for step in differences]
            differences, left_out = self._leave_out(differences)
            plan = decide(differences, state.find, sure=sure, force=force, again=again)
            plan = replace(plan, kept=tuple(sorted({*plan.kept, *left_out})))
            wanted = wanted_by(plan)
            check_whole(plan.changes, self._objects.missing(wanted))
            return Prepared(state.id, plan, state)

    def carry_out(self, prepared: Prepared) -> Restored:
        """Do it. What was changed since it was prepared is left as it is. When this raises or is killed, some of it is
        done: preparing and carrying out the same steps again goes on."""
        with self._locked(), self._root() as root, self._objects.reading() as reader:
            plan = prepared.plan
            work = Restoration(root, plan, prepared.state, reader)
            work.run()
            return Restored(self._capture(root, wanted_by(plan)).id, tuple(sorted(set(work.done))), work.left)

    def restore(self, start: str, target: str, *, force: bool = False) -> Restored | Prepared:
        """Both at once, for one step; when there are conflicts, what was prepared and not done."""
        prepared = self.prepare([(start, target)], force=force)
        return prepared if prepared.conflicts else self.carry_out(prepared)

    def prune(self, keep: Sequence[str], quota: int) -> int:
        """Drop every snapshot but these, newest first, and those of the last hour; of these the oldest, until the rest
        takes at most ``quota`` bytes. How many bytes the store has then."""
        with self._locked():
            recent = self._recent()
            wanted = list(dict.fromkeys([*recent, *keep]))
            missing = self._objects.missing(wanted)
            wanted = [name for name in wanted if name not in missing]
            self._pack(wanted)
            if self.size() > quota:
                wanted = wanted[: self._fitting(wanted, quota)]
                self._pack(wanted)
            if self._known().id not in wanted:
                # What it says to be kept is gone: the next capture reads all again.
                (self.store / "state").unlink(missing_ok=True)
            return self.size()

    def size(self) -> int:
        """Bytes that the store takes on the disk."""
        total = 0
        for folder, _, files in os.walk(self.store):
            for name in files:
                with suppress(OSError):
                    total += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118  # Path costs thrice
        return total

    def _capture(self, root: int, kept: Set[str] = frozenset()) -> State:
        before = self._known()
        state = Capture(self._objects, before, self._leave, self._bounds, kept).run(root)
        if state != before:
            try:
                write_state(self.store / "state", state)
                if state.id != before.id:
                    with (self.store / "recent").open("a", encoding="ascii") as file:
                        file.write(f"{time.time():.0f} {state.id}\n")
            except OSError as error:
                raise unusable(self.store, error.strerror or str(error)) from error
            self._state_mark = self._mark()
        self._state = state
        return state

    def _known(self) -> State:
        """The state of the last capture, by whatever process."""
        mark = self._mark()
        if mark != self._state_mark or mark == (0, 0):
            self._state = read_state(self.store / "state")
            self._state_mark = mark
        return self._state

    def _mark(self) -> tuple[int, int]:
        try:
            found = (self.store / "state").stat()
        except OSError:
            return (0, 0)
        return found.st_ino, found.st_mtime_ns

    def _leave_out(self, steps: Sequence[dict[str, Change]]) -> tuple[list[dict[str, Change]], set[str]]:
        """The steps without what is left out by now, which nobody looked at; and that."""
        left = {path for step in steps for path in step if any(part in self._leave for part in _names(path))}
        return [{path: change for path, change in step.items() if path not in left} for step in steps], left

    def _recent(self) -> list[str]:
        """Snapshots of the last hour, newest first; forgets the older ones."""
        path = self.store / "recent"
        lines = path.read_text(encoding="ascii", errors="replace").splitlines() if path.exists() else []
        whole = [found for line in lines if (found := re.fullmatch(r"(\d+) ([0-9a-f]{40})", line))]
        young = [found for found in whole if int(found[1]) > time.time() - RECENT_S]
        path.write_text("".join(f"{found[0]}\n" for found in young), encoding="ascii")
        return [found[2] for found in reversed(young)]

    def _fitting(self, wanted: Sequence[str], quota: int) -> int:
        """How many of these, from the first, take no more than the quota together."""
        low, high = 0, len(wanted)
        while low < high:
            middle = (low + high + 1) // 2
            asked = "".join(f"{name}\n" for name in wanted[:middle]).encode("ascii")
            used = int(self._objects.run(["rev-list", "--objects", "--disk-usage", "--stdin"], asked) or b"0")
            low, high = (middle, high) if used <= quota else (low, middle - 1)
        return low

    def _pack(self, wanted: Sequence[str]) -> None:
        """Leave only what these need."""
        refs = "".join(f"{name} refs/snapshots/{name}\n" for name in sorted(wanted))
        packed = self.store / "packed-refs"
        packed.write_text(f"# pack-refs with: sorted \n{refs}", encoding="ascii")
        if wanted:
            self._objects.run(["repack", "-a", "-d", "-q", "--no-write-bitmap-index"])
        else:
            for left in (self.store / "objects" / "pack").iterdir():
                left.unlink(missing_ok=True)
        self._objects.run(["prune", "--expire=now"])
        for left in (*self.store.glob("fast_import_crash_*"), *self.store.glob("*.tmp")):
            left.unlink(missing_ok=True)

    @contextmanager
    def _root(self) -> Iterator[int]:
        try:
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            fix = "what was said can be undone alone, with --keep-files"
            raise StateError(f"cannot look at {self.root}: {error.strerror}", fix) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.store.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.store / "root").write_bytes(os.fsencode(self.root))
            descriptor = os.open(self.store / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unusable(self.store, error.strerror or str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._objects.ensure()
            yield
        finally:
            os.close(descriptor)


def _names(path: str) -> Iterator[str]:
    """By what a path may be left out: its parts, and the folders above it."""
    parts = path.split("/")
    for number, part in enumerate(parts, 1):
        yield part
        yield "/".join(parts[:number])


def _relative(root: Path, leave: Iterable[str | Path]) -> Iterator[str]:
    for given in leave:
        if isinstance(given, str) and not given.startswith("/"):
            yield given.strip("/")
            continue
        whole = Path(given).resolve()
        if whole.is_relative_to(root) and whole != root:
            yield whole.relative_to(root).as_posix()
