"""One request by hand over a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hearth.ops.local import Answer, ask

Listen = Callable[[list[bytes]], Awaitable[list[bytes]]]


@pytest.fixture
async def listen(home: Path) -> AsyncIterator[Listen]:
    """Serve these pieces to one request; gives the list in which the request will be."""
    servers = []

    async def begin(pieces: list[bytes]) -> list[bytes]:
        got: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.close()

        servers.append(await asyncio.start_unix_server(answer, str(home / "s")))
        return got

    yield begin
    for server in servers:
        server.close()


async def test_an_answer_in_pieces_is_read_to_its_end(listen: Listen, home: Path) -> None:
    got = await listen([b"HTTP/1.1 200 OK\r\nx: y\r\n", b"\r\n", b'{"a":', b"[1]}"])
    assert await ask(home / "s", "GET", "/x") == Answer(200, {"a": [1]})
    assert got[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Connection: close" in got[0]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, None)),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\nplain", Answer(500, None)),
    ],
)
async def test_what_is_not_json_is_none(listen: Listen, home: Path, sent: bytes, answer: Answer) -> None:
    await listen([sent])
    assert await ask(home / "s", "POST", "/", {"a": 1}) == answer


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 \r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
async def test_what_is_not_http_is_a_connection_error(listen: Listen, home: Path, sent: bytes) -> None:
    await listen([sent])
    with pytest.raises(ConnectionError):
        await ask(home / "s", "GET", "/")


async def test_nobody_there_is_an_os_error(home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await ask(home / "s", "GET", "/")


async def test_silence_is_a_timeout(home: Path) -> None:
    async def say_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)  # the parameters keep the connection open: an unused writer is closed in Python 3.13

    server = await asyncio.start_unix_server(say_nothing, str(home / "s"))
    with pytest.raises(TimeoutError):
        await ask(home / "s", "GET", "/", timeout_s=0.1)
    server.close()
