"""What a container or a service may use of its machine: the limits of control groups, version 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hearth.weights.hardware.system_text import read_file, whole

_UNLIMITED = 1 << 60
"""Version 1 writes the largest number of pages for "no limit"."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest of all limits that hold, None where there is none. Bytes of RAM, those still free, and cores."""

    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    cores: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Where a controller's files are: ``mount`` is the uppermost folder, ``own`` that of our process, at or below it.

    ``controllers`` is empty for version 2, where one tree has all of them.
    """

    controllers: frozenset[str]
    mount: PurePosixPath
    own: PurePosixPath


def groups(cgroup: str, mountinfo: str) -> tuple[Group, ...]:
    """Our groups, of the texts of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``.

    A container often sees its own group as the root of the mount, or a path that leads out of what is mounted: then
    the mount is all that it can see, and its files are those of its own group.
    """
    paths: dict[frozenset[str], str] = {}
    for line in cgroup.splitlines():
        number, _, rest = line.partition(":")
        names, mark, path = rest.partition(":")
        if mark and number.isdigit():
            paths[frozenset(filter(None, names.split(",")))] = path
    found = []
    for line in mountinfo.splitlines():
        before, mark, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if not mark or len(fields) < 5 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(kinds[2].split(",")) if kinds[0] == "cgroup" else frozenset[str]()
        for controllers, path in paths.items():
            if controllers <= options and bool(controllers) == (kinds[0] == "cgroup"):
                mount = PurePosixPath(fields[4])
                found.append(Group(controllers, mount, _below(mount, fields[3], path)))
    return tuple(found)


def _below(mount: PurePosixPath, mounted: str, path: str) -> PurePosixPath:
    """The folder of a group's path, where the mount shows the tree from ``mounted`` on."""
    if ".." in path.split("/") or ".." in mounted.split("/"):
        return mount
    try:
        return mount / PurePosixPath(path).relative_to(mounted)
    except ValueError:
        return mount


def read_limits(root: Path = Path("/")) -> Limits:
    """The limits on this process: of its own groups and of all above them. No limits where there are no groups."""
    proc = root / "proc" / "self"
    memory: list[tuple[int, int]] = []
    cores: list[float] = []
    for group in groups(read_file(proc / "cgroup"), read_file(proc / "mountinfo")):
        for folder in _upwards(root, group):
            memory += _memory(folder, "memory" in group.controllers) if _has(group, "memory") else ()
            cores += _cores(folder, "cpu" in group.controllers) if _has(group, "cpu") else ()
    return Limits(
        min((limit for limit, _ in memory), default=None),
        min((free for _, free in memory), default=None),
        min(cores, default=None),
    )


def _has(group: Group, controller: str) -> bool:
    return not group.controllers or controller in group.controllers


def _upwards(root: Path, group: Group) -> Iterator[Path]:
    for folder in (group.own, *group.own.parents):
        yield root / str(folder).lstrip("/")
        if folder == group.mount:
            return


def _memory(folder: Path, first_version: bool) -> Iterator[tuple[int, int]]:
    """Limit and what is left of it. Pages of files count as free: the kernel drops them before it refuses memory."""
    if first_version:
        limits, used = [_told(folder / "memory.limit_in_bytes")], _told(folder / "memory.usage_in_bytes")
        prefix = "total_"
    else:
        # Above "high" a group is slowed down until it crawls: no model may be planned there.
        limits = [_told(folder / "memory.max"), _told(folder / "memory.high")]
        used, prefix = _told(folder / "memory.current"), ""
    limit = min((each for each in limits if each is not None and each < _UNLIMITED), default=None)
    if limit is None:
        return
    told = dict(line.split() for line in read_file(folder / "memory.stat").splitlines() if len(line.split()) == 2)
    kinds = (f"{prefix}inactive_file", f"{prefix}active_file", "slab_reclaimable")
    reclaimable = sum(whole(told.get(kind, "")) or 0 for kind in kinds)
    yield limit, min(max(limit - max((used or 0) - reclaimable, 0), 0), limit)


def _cores(folder: Path, first_version: bool) -> Iterator[float]:
    """The quota as a number of cores."""
    if first_version:
        quota, period = _told(folder / "cpu.cfs_quota_us"), _told(folder / "cpu.cfs_period_us")
    else:
        words = read_file(folder / "cpu.max").split()
        quota, period = (whole(word) for word in words) if len(words) == 2 else (None, None)
    if quota and period:
        yield quota / period


def _told(path: Path) -> int | None:
    return whole(read_file(path))
