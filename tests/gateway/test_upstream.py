"""Connections to many engines at once."""

from __future__ import annotations

from contextlib import AsyncExitStack

from hearth.gateway.upstream import Upstream
from hearth.runtime.pretend import Answer, PretendEngine, Script

PATH = "/v1/chat/completions"
BODY = b'{"messages":[{"role":"user","content":"hello"}],"stream":true}'


async def test_an_answer_goes_on_however_many_other_engines_are_asked_meanwhile() -> None:
    upstream = Upstream()
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(PretendEngine(Script(otherwise=Answer("one two three", token_s=0.1))))
        others = [await stack.enter_async_context(PretendEngine()) for _ in range(10)]
        async with upstream.post(slow.endpoint, PATH, BODY) as answer:
            for other in others:
                async with upstream.post(other.endpoint, PATH, BODY) as short:
                    assert b"[DONE]" in await short.read()
            assert b"[DONE]" in await answer.read()
        await upstream.close()
