"""Asking for a range of a file, and judging the answer: is it what was asked, of the content that was meant."""

from __future__ import annotations

import re
import threading

from hearth.errors import HearthError, ModelUnavailable
from hearth.weights.fetch.partial import Range
from hearth.weights.fetch.plan import RemoteFile
from hearth.weights.fetch.refusals import refusal
from hearth.weights.fetch.wire import Access, Answer, Broken, Line, host_of

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)
_EXPIRED = (400, 401, 403, 404, 410)
_LONGEST_WAIT_S = 60.0


class Changed(Exception):
    """The server has other content under this address than the bytes that are there: begin again."""


class NoRanges(Exception):
    """The server sent the whole file where a range was asked."""


class Asker:
    """Knows the way to one file: where the hub redirects to, and what the server calls the content.

    For several threads, each with a line of its own.
    """

    def __init__(self, file: RemoteFile, access: Access, etag: str = "") -> None:
        """``etag`` is that of the bytes which are there already, empty when there are none or nobody said."""
        self.etag = etag
        self._file = file
        self._access = access
        self._lock = threading.Lock()
        # Signed addresses of the hub's storage hold for an hour; asking the hub for each range would be refused soon.
        self._route = ""
        self._same_content = False

    def line(self, timeout_s: float) -> Line:
        """A new connection, to be closed by the caller."""
        return Line(self._access, timeout_s)

    def ask(self, line: Line, piece: Range, whole: bool) -> tuple[Answer, int, int]:
        """Ask for the bytes of the piece: the answer, and which bytes its body holds, from the first up to the second.

        ``whole`` says that an answer with the whole file will do. Raises NoRanges when it will not, Changed, Broken
        when another try may help, HearthError when none will.
        """
        for _ in range(2):
            answer = self._send(line, piece)
            self._judge_status(answer)
            self._judge_content(answer)
            etag = answer.headers.get("etag", "").strip()
            if etag == self.etag or not etag or not self.etag:
                self.etag = self.etag or etag
                return (answer, *self._bytes_of(answer, piece, whole))
            if not self._same_content:
                raise Changed(f"{host_of(answer.url)} has another version of {self._file.name} now")
            # The hub said by its hash that the content is the same: only its storage calls it otherwise.
            self.etag = etag
            line.close()
        raise Broken(f"{host_of(answer.url)} calls {self._file.name} otherwise each time")

    def _send(self, line: Line, piece: Range) -> Answer:
        headers = {"Range": f"bytes={piece[0]}-{piece[1] - 1}"}
        if self.etag and not self.etag.startswith("W/"):
            headers["If-Range"] = self.etag
        with self._lock:
            route = self._route
        answer = line.ask(route or self._file.url, headers)
        with self._lock:
            if not route:
                self._route = answer.url if answer.url != self._file.url and answer.status in (200, 206) else ""
                linked = _hash_of(answer.hub_headers.get("x-linked-etag", ""))
                self._same_content = bool(linked) and linked == self._file.sha256
                return self._judge_link(answer, linked)
            if answer.status in _EXPIRED:
                self._route = ""
                raise Broken(f"{host_of(answer.url)} answers {answer.status}")
        return answer

    def _judge_link(self, answer: Answer, linked: str) -> Answer:
        size = answer.hub_headers.get("x-linked-size", "")
        if (linked and self._file.sha256 and linked != self._file.sha256) or (
            size and size != str(self._file.size_bytes)
        ):
            raise ModelUnavailable(
                f"the hub has other content of {self._file.name} now than its list said", "pull again"
            )
        return answer

    def _judge_status(self, answer: Answer) -> None:
        if answer.status in (200, 206):
            return
        where = f"{host_of(answer.url)} answers {answer.status} {answer.reason}".rstrip()
        if answer.status in _PASSING:
            raise Broken(where, _wait_s(answer))
        if answer.status in _EXPIRED and answer.url != self._file.url and not self._access.is_hub(answer.url):
            # The storage that we were sent to, not who sent us: its signed addresses are short-lived.
            raise Broken(where)
        if answer.status == 416:
            raise Changed(f"{host_of(answer.url)} has fewer bytes of {self._file.name} now")
        raise self._refused(answer, where)

    def _refused(self, answer: Answer, where: str) -> HearthError:
        if self._access.is_hub(answer.url):
            repo = self._file.url.partition("/resolve/")[0].removeprefix(self._access.endpoint).strip("/")
            code = answer.headers.get("x-error-code", "")
            if found := refusal(answer.status, code, repo, self._access):
                return found
        return ModelUnavailable(
            f"{self._file.name} cannot be fetched: {where}", "check the address, or try again later"
        )

    def _judge_content(self, answer: Answer) -> None:
        if answer.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise ModelUnavailable(
                f"{host_of(answer.url)} sends {self._file.name} compressed, unasked", "fetch it from elsewhere"
            )

    def _bytes_of(self, answer: Answer, piece: Range, whole: bool) -> Range:
        length = answer.headers.get("content-length", "")
        if answer.status == 200:
            if length:
                self._judge_size(answer, length)
            if not whole:
                raise NoRanges
            return 0, self._file.size_bytes
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None:
            raise Broken(f"{host_of(answer.url)} does not say which range it sends")
        start, end = int(found[1]), int(found[2]) + 1
        if found[3] != "*":
            self._judge_size(answer, found[3])
        if start != piece[0] or end <= start or (length and length != str(end - start)):
            raise Broken(f"{host_of(answer.url)} sends another range than was asked")
        return start, min(end, piece[1])

    def _judge_size(self, answer: Answer, told: str) -> None:
        if told != str(self._file.size_bytes):
            raise ModelUnavailable(
                f"{host_of(answer.url)} has {told[:20]} bytes as {self._file.name}; "
                f"it must have {self._file.size_bytes}",
                "something stands between (a proxy, a login page), or the file was replaced: pull again later",
            )


def _hash_of(etag: str) -> str:
    found = etag.removeprefix("W/").strip('"')
    return found if _SHA256.fullmatch(found) else ""


def _wait_s(answer: Answer) -> float:
    told = answer.headers.get("retry-after", "")
    if not told.isdecimal():
        # The hub's own: `"resolvers";r=0;t=55`, seconds until it answers again.
        found = re.search(r"r=0;\s*t=(\d+)", answer.headers.get("ratelimit", ""))
        told = found[1] if found and answer.status == 429 else "0"
    return min(float(told), _LONGEST_WAIT_S)
