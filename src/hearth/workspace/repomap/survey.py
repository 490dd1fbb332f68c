"""Reads a project for the map: which files there are, and the sketch of each, from the cache where it still holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from hearth.errors import WorkspaceError
from hearth.workspace.files import Workspace
from hearth.workspace.repomap.cache import Kept, SketchCache
from hearth.workspace.repomap.ignored import Ignored
from hearth.workspace.repomap.sketch import LARGEST_FILE, Sketch, family_of, sketch
from hearth.workspace.repomap.wanted import Wanted, find_named
from hearth.workspace.syntax import Outline

MOST_FILES = 20_000
"""Files that are looked at; the rest of a larger project is not on the map."""
MOST_SKETCHED = 8_000
"""Files with code that are read."""

_TOO_NEW_NS = 2_000_000_000

Read = Callable[[str, str], Outline]
"""Definitions and references of a file, by its path and text. May raise WorkspaceError when it cannot be read now."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A project as it was found: all paths, sorted, and the sketches of those with code.

    ``complete`` is False where time or a bound ended the look: another one may find more.
    """

    paths: tuple[str, ...]
    sketches: dict[str, Sketch]
    complete: bool


def survey(workspace: Workspace, cache: Path | None, outline: Read, wanted: Wanted, deadline_s: float) -> Survey:
    """Look at the whole project, for at most about ``deadline_s`` seconds; what the task names is read first.

    What was read is kept in the folder ``cache``, so that the next look begins where this one ended.
    """
    end = time.monotonic() + deadline_s
    paths, complete = _list_paths(workspace, end)
    kept_on_disk = SketchCache(cache, workspace.root) if cache is not None else None
    old = kept_on_disk.load() if kept_on_disk is not None else {}
    new: dict[str, Kept] = {}
    changed = False
    for path in _in_order(paths, wanted):
        if len(new) >= MOST_SKETCHED or time.monotonic() > end:
            complete = False
            break
        found = _look(workspace, path, old.get(path), outline)
        if found is not None:
            new[path] = found
            changed = changed or found is not old.get(path)
    if kept_on_disk is not None:
        rest = {} if complete else {path: found for path, found in old.items() if path not in new}
        if changed or len(new) + len(rest) != len(old):
            kept_on_disk.save({**rest, **new})
        else:
            kept_on_disk.touch()
    return Survey(tuple(sorted(paths)), {path: new[path].sketch for path in sorted(new)}, complete)


def _list_paths(workspace: Workspace, end: float) -> tuple[list[str], bool]:
    ignored = Ignored(workspace)
    paths: list[str] = []
    with suppress(WorkspaceError):
        for path in workspace.walk(enter=lambda folder: not ignored.has(folder, is_folder=True)):
            if len(paths) >= MOST_FILES or time.monotonic() > end:
                return paths, False
            if not ignored.has(path):
                paths.append(path)
    return paths, True


def _in_order(paths: Iterable[str], wanted: Wanted) -> list[str]:
    """The files with code in the order in which they are worth reading if time is short."""
    code = [path for path in paths if family_of(path) is not None]
    named = find_named(code, wanted)
    return sorted(code, key=lambda path: (path not in named, path.count("/"), path))


def _look(workspace: Workspace, path: str, old: Kept | None, outline: Read) -> Kept | None:
    try:
        found = workspace.stat(path)
        if found.st_size > LARGEST_FILE:
            return None
        family = family_of(path) or ""
        if old is not None and old.sketch.family != family:
            # The grammar of its language came or went.
            old = None
        if old is not None and old.size == found.st_size and old.changed_ns == found.st_mtime_ns:
            return old
        data = workspace.read_bytes(path, LARGEST_FILE)
    except WorkspaceError:
        return None
    # A file that changed a moment ago may change again without its time telling: next time its content is compared.
    changed_ns = 0 if time.time_ns() - found.st_mtime_ns < _TOO_NEW_NS else found.st_mtime_ns
    digest = blake2b(data, digest_size=16).digest()
    if old is not None and old.digest == digest:
        return old if old.changed_ns == changed_ns else Kept(len(data), changed_ns, digest, old.sketch)
    if b"\0" in data[:8192]:
        return Kept(len(data), changed_ns, digest, Sketch(family, (), "", ()))
    text = data.decode("utf-8", "replace")
    with suppress(WorkspaceError):  # nobody can be asked now: it is looked at again next time
        return Kept(len(data), changed_ns, digest, sketch(path, text, outline))
    return None
