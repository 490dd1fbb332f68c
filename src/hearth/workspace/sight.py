"""What the model has seen of each file: of which content, and which lines by their present numbers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MOST_KEPT = 8_000_000
"""Characters of texts kept to show what others changed; the oldest make room."""

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One file as the model last saw it.

    ``whole``: it has seen all of it, or wrote it. ``ranges`` are the lines, first and last counted from 1, whose
    numbers it was shown and that still have them. ``text`` is the content, empty when it was too much to keep.
    """

    digest: bytes
    whole: bool
    ranges: Ranges
    text: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of a file from some moment on, to be kept beyond this process: as ``Seen``, without the text. With
    an empty digest it is gone."""

    path: str
    digest: bytes = b""
    whole: bool = False
    ranges: Ranges = ()


class Sight:
    """The files that were shown or written in a session. A file that is not here was never seen."""

    def __init__(
        self, known: Iterable[Sighting] = (), read: Callable[[str], tuple[bytes, str] | None] = lambda _: None
    ) -> None:
        """``known`` is what an earlier process told with ``news``, in order; ``read`` gives the digest and the text of
        a file as it is now."""
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept = 0
        self._news: dict[str, None] = {}
        for one in {one.path: one for one in known}.values():
            if one.digest:
                now = read(one.path)
                text = now[1] if now and now[0] == one.digest else ""
                self._put(one.path, Seen(one.digest, one.whole, one.ranges, text))
        self._news.clear()

    def of(self, path: str) -> Seen | None:
        """What was seen of a file, None if nothing was."""
        return self._seen.get(path)

    def note_read(self, path: str, digest: bytes, text: str, first: int, last: int, count: int) -> None:
        """Lines ``first`` to ``last`` of ``count`` were shown; of the same content, they add to those before."""
        old = self._seen.get(path)
        same = old if old and old.digest == digest else None
        ranges = _join([*(same.ranges if same else ()), (first, last)]) if last >= first else ()
        whole = bool(same and same.whole) or count == 0 or ranges == ((1, count),)
        self._put(path, Seen(digest, whole, ranges, text))

    def note_written(self, path: str, digest: bytes, text: str, whole: bool, ranges: Sequence[tuple[int, int]]) -> None:
        """The model changed the file; ``ranges`` are the lines whose numbers it knows now."""
        self._put(path, Seen(digest, whole, _join(ranges), text))

    def forget(self, path: str) -> None:
        """The file is gone."""
        self._news[path] = None
        self._drop(path)

    def news(self) -> tuple[Sighting, ...]:
        """What is known of the files that were shown, written or gone since this was asked last."""
        news, self._news = self._news, {}
        found = ((path, self._seen.get(path)) for path in news)
        return tuple(
            Sighting(path, one.digest, one.whole, one.ranges) if one else Sighting(path) for path, one in found
        )

    def _drop(self, path: str) -> None:
        if old := self._seen.pop(path, None):
            self._kept -= len(old.text)

    def _put(self, path: str, seen: Seen) -> None:
        self._news[path] = None
        self._drop(path)
        if len(seen.text) > MOST_KEPT:
            seen = Seen(seen.digest, seen.whole, seen.ranges, "")
        self._seen[path] = seen
        self._kept += len(seen.text)
        for other in self._seen:
            if self._kept <= MOST_KEPT:
                break
            kept = self._seen[other]
            self._kept -= len(kept.text)
            self._seen[other] = Seen(kept.digest, kept.whole, kept.ranges, "")


def covers(ranges: Ranges, first: int, last: int) -> bool:
    """Whether all lines from ``first`` to ``last`` are in one of the ranges."""
    return any(low <= first and last <= high for low, high in ranges)


def shift_ranges(ranges: Ranges, first: int, last: int, grown: int) -> Ranges:
    """The lines that keep their numbers, after lines ``first`` to ``last`` of the old text became others.

    With as many lines as before all keep theirs; else those above do.
    """
    kept = [(low, min(high, first - 1)) for low, high in ranges if low < first]
    if grown == 0:
        kept += [(max(low, last + 1), high) for low, high in ranges if high > last]
    return tuple(kept)


def _join(ranges: Sequence[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(one for one in ranges if one[1] >= one[0]):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)
