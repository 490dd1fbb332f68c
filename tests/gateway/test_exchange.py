"""What reaches the client: whole events only, byte for byte, and no comment inside one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.gateway.asgi import Message, Request
from hearth.gateway.exchange import EVENT_LIMIT, Exchange
from hearth.gateway.refusal import Refusal, bad_request

EVENT = st.sampled_from(
    [b'data: {"a":1}\n\n', b": ping\n\n", b'data: {"t":"\xc3\xa9\\n\\n"}\n\n', b"event: x\ndata: y\r\n\r\n", b"\n\n"]
)


class Client:
    """What an ASGI server would have sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError("an event that is never set was set")

    def exchange(self, *, stream: bool = True, beat_s: float = 60.0) -> Exchange:
        """An exchange that ends here."""
        scope = {"method": "POST", "path": "/", "headers": []}
        return Exchange(Request(scope, self.receive, self.send, trusted=True), "small", stream=stream, beat_s=beat_s)

    @property
    def parts(self) -> list[bytes]:
        """The bodies in order."""
        return [message["body"] for message in self.messages if message.get("body")]


@given(st.lists(EVENT, min_size=1), st.data())
async def test_any_cutting_gives_the_same_bytes_in_whole_events(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join([*sent, b"data: [DONE]\n\n"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    client = Client()
    exchange = client.exchange()
    await exchange.begin()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        if start < end:
            await exchange.pass_on(whole[start:end])
            assert all(part.endswith((b"\n\n", b"\r\n\r\n")) for part in client.parts)
    await exchange.finish()
    assert b"".join(client.parts) == whole
    assert client.messages[-1] == {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize(
    "sent", [b"", b'data: {"a":1}\n\n', b'data: {"a":1}\n\ndata: {"b', b'data: {"content":"[DONE]"}\n\n']
)
async def test_an_end_without_done_is_a_cut(sent: bytes) -> None:
    exchange = Client().exchange()
    await exchange.begin()
    if sent:
        await exchange.pass_on(sent)
    with pytest.raises(Refusal, match="ended its stream"):
        await exchange.finish()


async def test_the_half_event_of_an_engine_that_died_is_left_out() -> None:
    client = Client()
    exchange = client.exchange()
    await exchange.begin()
    await exchange.pass_on(b'data: {"a":1}\n\ndata: {"half')
    await exchange.refuse(bad_request("code", "died"))
    assert client.parts[0] == b'data: {"a":1}\n\n'
    assert client.parts[1].startswith(b'data: {"error":')
    assert (exchange.status, exchange.broken) == (200, "died")


async def test_an_error_before_the_first_byte_has_its_status_and_comes_once() -> None:
    client = Client()
    exchange = client.exchange()
    await exchange.refuse(bad_request("code", "off"))
    await exchange.refuse(bad_request("code", "again"))
    assert [message.get("status") for message in client.messages] == [400, None]


async def test_an_event_without_end_does_not_fill_the_memory() -> None:
    exchange = Client().exchange()
    await exchange.begin()
    with pytest.raises(Refusal, match="an event of more than"):
        await exchange.pass_on(b"data: " + b"x" * EVENT_LIMIT)


async def test_a_silent_answer_in_one_piece_gets_no_comments() -> None:
    client = Client()
    watch = asyncio.create_task(client.exchange(stream=False, beat_s=0.001).until_gone())
    await asyncio.sleep(0.02)
    watch.cancel()
    assert client.messages == []
