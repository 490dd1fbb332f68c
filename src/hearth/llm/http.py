"""HTTP/1.1 as a face needs it: one request on a connection of its own, its answer as a stream of bytes.

A face asks a handful of times in its life, so importing a library for every case of HTTP would be the most expensive
part of it (95 ms; this file and its parser: 7 ms). Not here on purpose: kept connections, redirects, compression,
cookies, proxies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httptools

CONNECT_S = 30.0
NEXT_ADDRESS_S = 0.25
"""When a name has several addresses: seconds until the next one is tried beside the first (RFC 8305)."""
LARGEST_HEAD = 64 * 1024
"""Bytes of a status line and headers, more or less; a server that sends more does not speak HTTP."""
MOST_UNREAD = 256 * 1024
"""Bytes of a body that nobody has taken yet, past which the server is held back."""


class Silent(TimeoutError):
    """The server sent no byte for too long."""


class BrokenOff(ConnectionError):
    """The answer ended before its end, or is no HTTP."""


class Response(asyncio.Protocol):
    """An answer that arrives: the receiving end of its connection. Any chunking of the same bytes gives the same."""

    def __init__(self, silence_s: float) -> None:
        """``silence_s`` seconds without a byte make whoever waits for one raise Silent."""
        self.status = 0
        """0 until the head is there."""
        self.headers: dict[str, str] = {}
        """Names in lower case; of several with one name the last."""
        self._silence_s = silence_s
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._news = asyncio.Event()
        self._body = bytearray()
        self._head_bytes = 0
        self._ended = False
        self._error: BrokenOff | None = None

    async def head(self) -> None:
        """Wait until ``status`` and ``headers`` are there."""
        while not self.status:
            await self._wait()

    async def take(self) -> bytes:
        """The next bytes of the body, as soon as there are any; empty at its end. A body that breaks off gives what
        it has first."""
        while not self._body and not self._ended:
            await self._wait()
        data = bytes(self._body)
        self._body.clear()
        if self._transport:
            self._transport.resume_reading()
        return data

    async def read(self, most: int) -> bytes:
        """The whole body, or its beginning: what came until it was ``most`` bytes long."""
        data = b""
        while len(data) < most and (more := await self.take()):
            data += more
        return data[:most]

    async def _wait(self) -> None:
        if self._error:
            raise self._error
        self._news.clear()
        try:
            async with asyncio.timeout(self._silence_s):
                await self._news.wait()
        except TimeoutError as error:
            raise Silent(f"nothing came for {self._silence_s:g} s") from error

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server is there."""
        # Every stream connection is one; that of another loop (uvloop) is no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer, wherever they were cut."""
        if self._ended or self._error:
            return
        self._head_bytes += 0 if self.status else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What follows a whole answer is none of it.
            if not self._ended:
                self._error = BrokenOff(f"what it sends is no HTTP answer: {error}")
        if not self.status and self._head_bytes > LARGEST_HEAD:
            self._error = BrokenOff(f"its headers are longer than {LARGEST_HEAD:,} bytes")
        if self._transport and len(self._body) > MOST_UNREAD:
            self._transport.pause_reading()
        self._news.set()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed: by the server, by the network or by us."""
        if self._error is None and error is None and self.status and not self._is_framed():
            self._ended = True
        else:
            self._error = self._error or BrokenOff(
                describe(error) if error else "it closed the connection before the end"
            )
        self._news.set()

    def _is_framed(self) -> bool:
        """Whether the answer says itself where it ends; if not, its connection does."""
        coding = self.headers.get("transfer-encoding", "").lower()
        return coding.endswith("chunked") if coding else "content-length" in self.headers

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or after the body a trailer, which nobody asked for."""
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there; one of 1xx only says that another one follows."""
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
        else:
            self.headers.clear()

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """The body has ended, as it was announced."""
        self._ended = self.status > 0


def describe(error: Exception) -> str:
    """What went wrong with a connection, in words and without numbers."""
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "nobody listens there"
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return said or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)


@asynccontextmanager
async def request(
    method: str,
    url: str,
    silence_s: float,
    *,
    socket: Path | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> AsyncGenerator[Response, None]:
    """Send one request; gives the answer when its head is there. Leaving the block closes the connection at once.

    ``url`` is http or https; with ``socket`` that unix socket is asked, and the URL's host is only a name. Raises
    Silent and BrokenOff, here and while the body is read; any other OSError means that nobody was reached, or that
    ``url`` is no address; ValueError for a header that is not one line of ASCII.
    """
    place = _split(url)
    message = _head(method, place, headers or {}, len(body)) + body
    transport, response = await _connect(place, socket, silence_s)
    try:
        transport.write(message)
        await response.head()
        yield response
    finally:
        # Not close(): that would wait for what is still to be written.
        transport.abort()


async def _connect(place: SplitResult, socket: Path | None, silence_s: float) -> tuple[asyncio.Transport, Response]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            if socket:
                return await loop.create_unix_connection(lambda: Response(silence_s), str(socket))
            secure = place.scheme == "https"
            return await loop.create_connection(
                lambda: Response(silence_s),
                place.hostname or "",
                place.port or (443 if secure else 80),
                ssl=secure,  # with the machine's certificate authorities
                happy_eyeballs_delay=NEXT_ADDRESS_S,
            )
    except TimeoutError as error:
        raise TimeoutError(f"no connection within {CONNECT_S:g} s") from error


def _split(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        usable = place.scheme in ("http", "https") and place.hostname and place.port != 0 and not place.username
    except ValueError as error:
        raise OSError(f"{url} is no address: {error}") from error
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise OSError(f"{url} is no address such as http://127.0.0.1:8888")
    return place


def _head(method: str, place: SplitResult, headers: Mapping[str, str], length: int) -> bytes:
    whole = {
        "Host": place.netloc,
        "User-Agent": "hearth",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(length),
        **headers,
    }
    for name, value in whole.items():
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header {name} is not one line of ASCII")
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in whole.items())]
    return "\r\n".join([*lines, "\r\n"]).encode("ascii")
