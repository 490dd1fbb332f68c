"""One request over a connection of its own, against servers that play their part byte by byte."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.llm import http

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PEM = Path(__file__).parent / "localhost.pem"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def playing(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server whose every connection is played by ``play``; gives its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await play(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if tls else ''}://localhost:{port}"
    finally:
        server.close()


def answering(data: bytes, asked: list[bytes] | None = None) -> Play:
    """Read the head of a request, send these bytes, close."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(head)
        writer.write(data)
        await writer.drain()

    return play


async def ask(url: str, silence_s: float = 10.0, body: bytes = b"") -> tuple[int, bytes]:
    async with http.request("POST", url, silence_s, body=body) as response:
        return response.status, await response.read(1 << 30)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def frame(body: bytes, framing: str, places: list[int]) -> bytes:
    """A whole response with this body."""
    before = b"HTTP/1.1 100 Continue\r\nX-Not: this\r\n\r\n" if len(places) % 2 else b""
    head = before + b"HTTP/1.1 201 Created\r\nX-One: two\r\n"
    match framing:
        case "length":
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        case "chunked":
            chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in cut(body, places) if piece)
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: x\r\n\r\n"
        case _:
            return head + b"\r\n" + body


def fed(data: bytes, places: list[int]) -> http.Response:
    """A response that has got all of this, in pieces, and then the end of its connection."""
    response = http.Response(1.0)
    for piece in cut(data, places):
        response.data_received(piece)
    response.connection_lost(None)
    return response


PLACES = st.lists(st.integers(0, 10_000), max_size=12)
FRAMINGS = ("length", "chunked", "to the end")


@given(st.binary(max_size=400), st.sampled_from(FRAMINGS), PLACES, PLACES)
async def test_any_chunking_gives_the_same_answer(
    body: bytes, framing: str, places: list[int], cuts: list[int]
) -> None:
    response = fed(frame(body, framing, places), cuts)
    await response.head()
    assert response.status == 201
    assert response.headers["x-one"] == "two"
    assert "x-not" not in response.headers
    assert "x-trailer" not in response.headers
    assert await response.read(1 << 20) == body
    assert await response.take() == b""


@given(st.binary(min_size=1, max_size=400), st.sampled_from(FRAMINGS), PLACES, PLACES, st.integers(1, 10_000))
async def test_a_torn_answer_gives_what_it_has_and_is_told(
    body: bytes, framing: str, places: list[int], cuts: list[int], lost: int
) -> None:
    whole = frame(body, framing, places)
    # An answer that ends with its connection cannot be seen to be torn once its head is there.
    breakable = len(whole) if framing != "to the end" else len(whole) - len(body)
    torn = whole[: (breakable - 1) - (lost - 1) % breakable]
    response = fed(torn, cuts)
    got = bytearray()

    async def read() -> None:
        await response.head()
        while data := await response.take():
            got.extend(data)

    with pytest.raises(http.BrokenOff, match="closed the connection before the end"):
        await read()
    assert body.startswith(got)


@given(st.binary(min_size=1, max_size=200), PLACES)
async def test_bytes_that_are_no_answer_are_an_error_and_nothing_else(data: bytes, cuts: list[int]) -> None:
    response = fed(data, cuts)
    with pytest.raises(http.BrokenOff):
        await response.head()


async def test_what_is_sent_is_plain_http() -> None:
    asked: list[bytes] = []
    async with playing(answering(WHOLE, asked)) as url:
        assert await ask(f"{url}/v1/x?y=z", body=b"abc") == (200, b"hello")
    assert asked[0].decode().split("\r\n") == [
        "POST /v1/x?y=z HTTP/1.1",
        f"Host: {url.removeprefix('http://')}",
        "User-Agent: hearth",
        "Accept-Encoding: identity",
        "Connection: close",
        "Content-Length: 3",
        "",
        "",
    ]


async def test_what_follows_a_whole_answer_is_left_alone() -> None:
    async with playing(answering(WHOLE + b"and more")) as url:
        assert await ask(url) == (200, b"hello")


async def test_an_answer_without_a_body_needs_no_length() -> None:
    async with playing(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as url:
        assert await ask(url) == (204, b"")


async def test_a_body_is_read_no_further_than_wanted() -> None:
    endless = b"HTTP/1.1 500 Oh\r\n\r\n" + b"x" * 1_000_000
    async with playing(answering(endless)) as url, http.request("GET", url, 10.0) as response:
        assert await response.read(10) == b"x" * 10


async def test_nobody_there_is_told(free_port: int, tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError) as refused:
        await ask(f"http://127.0.0.1:{free_port}")
    assert http.describe(refused.value) == "nobody listens there"
    with pytest.raises(FileNotFoundError) as missing:
        async with http.request("GET", "http://x", 1.0, socket=tmp_path / "none"):
            pass
    assert http.describe(missing.value) == "nobody listens there"


async def test_a_reset_connection_is_an_answer_broken_off() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE[:-2])
        await writer.drain()
        await asyncio.sleep(0.05)
        # Linger of 0 s: the kernel sends a reset in place of an orderly end.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with playing(play) as url:
        with pytest.raises(http.BrokenOff, match="reset by peer"):
            await ask(url)


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200", WHOLE[:-2]])
async def test_silence_is_told(before: bytes) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        await reader.read()

    async with playing(play) as url:
        with pytest.raises(http.Silent, match=r"nothing came for 0\.2 s"):
            await ask(url, silence_s=0.2)


async def test_headers_have_a_bound() -> None:
    for endless in (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000, b"HTTP/1.1 100 OK\r\n\r\n" * 50_000):
        async with playing(answering(endless)) as url:
            with pytest.raises(http.BrokenOff, match="headers are longer than 65,536 bytes"):
                await ask(url)


async def test_a_server_may_refuse_a_large_request_unread() -> None:
    over = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")(reader, writer)
        await over.wait()

    async with playing(play) as url:
        assert await ask(url, body=b"x" * 20_000_000) == (413, b"no")
        over.set()


async def test_a_server_that_is_faster_than_its_reader_is_held_back() -> None:
    sent = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(400):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with playing(play) as url, http.request("GET", url, 10.0) as response:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 40_000_000
        total = 0
        while data := await response.take():
            assert len(data) < 2_000_000
            total += len(data)
    assert total == 40_000_000


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\nsome"])
async def test_leaving_closes_the_connection_at_once(start: bytes) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        left.set()

    async with playing(play) as url:
        task = asyncio.create_task(ask(url))
        await asked.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.CancelledError):
                await task
            await left.wait()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:0",
        "http://user:word@x",
        "http://[::1",
        "http://x/a b",
        "http://ö",
    ],
)
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(OSError, match="is no address"):
        await ask(url)


@pytest.mark.parametrize("value", ["a\r\nHost: b", "ä", "a\0"])
async def test_a_header_cannot_smuggle_another(value: str) -> None:
    with pytest.raises(ValueError, match="the header X is not one line"):
        async with http.request("GET", "http://127.0.0.1:9", 1.0, headers={"X": value}):
            pass


async def test_https_is_spoken_with_those_who_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PEM)
    async with playing(answering(WHOLE), tls) as url:
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
            await ask(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
        assert await ask(url, body=b"x" * 3_000_000) == (200, b"hello")
