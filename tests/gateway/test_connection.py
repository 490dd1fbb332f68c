"""What a connection may cost: heads that do not end, clients that do not read."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from running_gateway import QUESTION, Running, Start

from hearth.gateway.connection import Connection
from hearth.runtime.pretend import Answer, Script

CHAT = "/v1/chat/completions"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


class Impatient(Connection):
    """Limits that a test can wait for."""

    HEAD_S = 0.2
    STALL_S = 0.2


async def knock(running: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection to the TCP door."""
    return await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))


def stream_request() -> bytes:
    """A chat that streams, as bytes."""
    body = json.dumps({"messages": [QUESTION], "stream": True}).encode()
    return f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def whole(reader: asyncio.StreamReader) -> bytes:
    """Everything until the gateway hangs up."""
    async with asyncio.timeout(20):
        return await reader.read()


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: loc"])
async def test_a_head_that_does_not_come_is_not_waited_for(start: Start, begun: bytes) -> None:
    running = await start(connection=Impatient)
    reader, writer = await knock(running)
    writer.write(begun)
    answer = await whole(reader)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"head_timeout"' in answer
    writer.close()


async def test_a_second_head_is_not_waited_for_either(start: Start) -> None:
    running = await start(connection=Impatient)
    reader, writer = await knock(running)
    writer.write(GET + b"\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(GET)
    assert b"HTTP/1.1 408 " in await whole(reader)
    writer.close()


async def test_a_long_answer_is_not_cut_by_the_heads_deadline(start: Start) -> None:
    running = await start(Script((Answer(text="one two three ", prefill_s=0.6),)), connection=Impatient)
    assert (await (await running.chat()).json())["choices"][0]["message"]["content"] == "one two three "


@pytest.mark.parametrize("block", [b"X-More: " + b"a" * 10_000 + b"\r\n", b"a" * 10_000])
async def test_a_head_of_any_size_is_not_kept(start: Start, block: bytes) -> None:
    running = await start()
    reader, writer = await knock(running)
    writer.write(GET if block.endswith(b"\n") else GET + b"X-More: ")
    # No more than it takes: what is on its way when the gateway hangs up would reset the connection.
    for _ in range(Connection.HEAD_LIMIT // len(block) + 1):
        writer.write(block)
    answer = await whole(reader)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "head_too_large"
    writer.close()


async def test_a_large_body_is_no_large_head(start: Start) -> None:
    running = await start()
    answer = await running.chat(messages=[QUESTION], user="x" * 1_000_000)
    assert answer.status == 200


async def test_a_client_that_does_not_read_gives_its_slot_back(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text="word " * 200_000, token_s=0)), connection=Impatient)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, str(running.paths.socket))
        await loop.sock_sendall(client, stream_request())
        await running.until_busy(1)
        await running.until_busy(0)
        status = await (await running.local.get("http://hearth/hearth/status")).json()
        assert status["requests"] == 0


@pytest.mark.slow
async def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(Script(otherwise=Answer(text="word " * 200_000)))
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, str(running.paths.socket))
        await loop.sock_sendall(client, stream_request())
        await running.until_busy(1)
        running.stop()
        async with asyncio.timeout(20):
            await asyncio.shield(running.served)
    assert [record.message for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("words", [b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /\xff HTTP/1.1\r\n\r\n"])
async def test_what_is_no_http_gets_our_envelope(start: Start, words: bytes) -> None:
    running = await start()
    reader, writer = await knock(running)
    writer.write(words)
    answer = await whole(reader)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (error["code"], error["source"]) == ("invalid_http", "gateway")
    writer.close()


async def test_garbage_behind_a_request_does_not_land_in_its_stream(start: Start) -> None:
    running = await start(Script(otherwise=Answer(text="word " * 50, token_s=60)))
    reader, writer = await asyncio.open_unix_connection(str(running.paths.socket))
    writer.write(stream_request())
    seen = await reader.readuntil(b"data: ")
    writer.write(b"garbage\r\n\r\n")
    seen += await whole(reader)
    assert b"invalid_http" not in seen
    assert seen.count(b"HTTP/1.1") == 1
    await running.until_busy(0)
    writer.close()
