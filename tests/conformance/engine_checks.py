"""What every engine must do, one function for each. Each says what it found: YES, REFUSED (what it cannot do it
refuses, and says so), or ELSEWHERE (it cannot be asked of this engine as it stands here)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from engine_subjects import Subject
from engine_talk import Json, Talk, Told

from hearth.errors import ModelUnavailable
from hearth.llm.profile import PILOT
from hearth.runtime.engine import EngineState, LoadProgress
from hearth.runtime.pretend.script import Answer, Call, Fault

YES, REFUSED, ELSEWHERE = "yes", "refused", "-"

Run = Callable[[Talk], Awaitable[str]]
Expect = Callable[[type[Subject]], str]


@dataclass(frozen=True)
class Check:
    """One row of the page. ``expect`` says what is to be found for a subject."""

    title: str
    run: Run
    expect: Expect


CHECKS: list[Check] = []


def always(_subject: type[Subject]) -> str:
    """Every engine does it."""
    return YES


def scripted(subject: type[Subject]) -> str:
    """Only where answers can be chosen."""
    return YES if subject.traits.scripted else ELSEWHERE


def able(name: str) -> Expect:
    """What this capability says."""
    return lambda subject: YES if getattr(subject.capabilities, name) else REFUSED


def check(title: str, expect: Expect = always) -> Callable[[Run], Run]:
    """A row of this title."""

    def note(run: Run) -> Run:
        CHECKS.append(Check(title, run, expect))
        return run

    return note


def tools(*names: str) -> list[Json]:
    """Tools of these names, which take anything."""
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}}
    return [
        {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}
        for name in names
    ]


async def play(talk: Talk, *answers: Answer) -> None:
    """Choose the answers where that is possible."""
    if talk.subject.traits.scripted:
        await talk.subject.play(*answers)


def refuses(told: Told) -> str:
    """That it was refused as what cannot be done, and not as a failure."""
    assert told.status == 400, told
    assert told.error["code"] == "not_supported"
    assert told.error["message"]
    return REFUSED


@check("a plain answer, with its usage")
async def plain(talk: Talk) -> str:
    await play(talk, Answer(text="Hello there."))
    told = await talk.ask(max_tokens=16)
    assert told.status == 200
    assert told.message["role"] == "assistant"
    assert told.message["content"]
    assert told.finish in ("stop", "length")
    usage = told.usage
    assert usage["prompt_tokens"] > 0
    assert 0 < usage["completion_tokens"] <= 16
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return YES


@check("a stream says the same as an answer in one piece")
async def stream(talk: Talk) -> str:
    await play(talk, Answer(text="Hello there."), Answer(text="Hello there."))
    whole = await talk.ask(max_tokens=16)
    told = await talk.stream(max_tokens=16, stream_options={"include_usage": True})
    assert told.done
    assert not told.error
    assert told.message["content"] == whole.message["content"]
    assert told.finish == whole.finish
    assert told.usage["completion_tokens"] == whole.usage["completion_tokens"]
    assert told.usage["prompt_tokens"] == whole.usage["prompt_tokens"]
    return YES


@check("events in llama-server's shape, under the name that was asked for")
async def shape(talk: Talk) -> str:
    await play(talk, Answer(text="Hello there."))
    told = await talk.stream(max_tokens=16)
    assert told.done
    assert told.deltas[0] == {"role": "assistant", "content": None}
    assert told.deltas[-1] == {}
    assert {event["object"] for event in told.events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in told.events}) == 1
    assert not any("usage" in event for event in told.events)
    assert told.timings["predicted_n"] > 0
    assert told.timings["prompt_n"] + told.timings.get("cache_n", 0) > 0
    return YES


@check("the limit of an answer is kept, and told")
async def limit(talk: Talk) -> str:
    await play(talk, *[Answer(text="words without end " * 20)] * 2)
    for told in (await talk.ask(max_tokens=5), await talk.stream(max_tokens=5)):
        assert told.finish == "length"
        assert 0 < len(told.message["content"]) < 100
    return YES


@check("it stops before a stop string")
async def stop(talk: Talk) -> str:
    await play(talk, *[Answer(text="one two three four")] * 3)
    text = (await talk.ask(max_tokens=12)).message["content"]
    end = text[len(text) // 2 : len(text) // 2 + 2]
    for told in (await talk.ask(max_tokens=12, stop=[end]), await talk.stream(max_tokens=12, stop=[end])):
        assert told.message["content"] == text[: text.index(end)]
        assert told.finish == "stop"
    return YES


@check("letters of several bytes come whole", scripted)
async def letters(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    text = 'Grüße, 世界 🔥👩‍👩‍👧 \u2028 \\ " </tool_call>\n'
    await play(talk, *[Answer(text=text)] * 2)
    assert (await talk.ask()).message["content"] == text
    assert (await talk.stream()).message["content"] == text
    return YES


@check("a tool is called, and its result is understood")
async def tool_call(talk: Talk) -> str:
    call = Call(name="bash", arguments={"command": "grep -n 'ä' a.txt"})
    asked: dict[str, Any] = {"tools": tools(*PILOT.tools), "max_tokens": 200}
    messages = talk.subject.conversation()
    for ask in (talk.ask, talk.stream):
        await play(talk, Answer(text="I look.", tool_calls=(call,)), Answer(text="It is there."))
        told = await ask(messages, **asked)
        assert told.finish == "tool_calls", told
        made = told.message["tool_calls"]
        assert made[0]["id"]
        assert made[0]["type"] == "function"
        assert isinstance(json.loads(made[0]["function"]["arguments"]), dict)
        if talk.subject.traits.scripted:
            assert json.loads(made[0]["function"]["arguments"]) == call.arguments
            assert told.message["content"] == "I look."
        results = [{"role": "tool", "tool_call_id": each["id"], "content": "1 failed"} for each in made]
        then = await ask([*messages, told.message, *results], **asked)
        assert then.status == 200, then
        assert then.message["content"] or then.message["tool_calls"]
    return YES


@check("several calls in one answer have ids of their own", scripted)
async def several_calls(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    calls = (Call(name="read", arguments={"path": "a"}), Call(name="read", arguments={"path": "b"}))
    await play(talk, *[Answer(tool_calls=calls)] * 2)
    for told in (await talk.ask(tools=tools("read")), await talk.stream(tools=tools("read"))):
        made = told.message["tool_calls"]
        assert [json.loads(each["function"]["arguments"]) for each in made] == [{"path": "a"}, {"path": "b"}]
        assert len({each["id"] for each in made}) == 2
    return YES


@check("reasoning is told apart from the answer", scripted)
async def reasoning(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    await play(talk, *[Answer(reasoning="Let me see.", text="Yes.")] * 2)
    for told in (await talk.ask(), await talk.stream()):
        assert told.message["reasoning_content"] == "Let me see."
        assert told.message["content"] == "Yes."
        assert "reasoning" not in told.message
    return YES


@check("a prompt that is too long is refused with both numbers")
async def too_long(talk: Talk) -> str:
    context = talk.engine.context_length
    for ask in (talk.ask, talk.stream):
        told = await ask("seven " * (2 * context), max_tokens=1)
        assert told.status == 400
        assert told.error["code"] == "context_length_exceeded"
        assert told.error["source"] == "engine"
        assert told.error["n_ctx"] == context
        assert told.error["n_prompt_tokens"] > context
    return YES


@check("a prompt that is nearly too long is read whole")
async def nearly_too_long(talk: Talk) -> str:
    counts = []
    for share in (4, 2):
        await play(talk, Answer(text="Read."))
        told = await talk.ask("a b c d " * (talk.engine.context_length // 8 // share), max_tokens=1)
        counts.append(told.usage["prompt_tokens"])
    assert counts[1] > 1.7 * counts[0] > 0
    return YES


@check("who leaves frees the engine")
async def abort(talk: Talk) -> str:
    endless = [Answer(text="words without end " * 500, token_s=0.05)] * talk.engine.slots
    await play(talk, *endless, Answer(text="Free."))
    more = {} if talk.subject.traits.scripted else {"max_tokens": talk.engine.context_length // 2}
    streams = [talk.begun(**more) for _ in range(talk.engine.slots)]
    for each in streams:
        events = await each.__aenter__()
        await anext(events)
    await asyncio.gather(*(each.__aexit__(None, None, None) for each in streams))
    told = await talk.ask(max_tokens=4)
    assert told.message["content"]
    async with asyncio.timeout(20):
        while (seen := await talk.engine.look()) is not None and seen.working:
            await asyncio.sleep(0.05)
    return YES


@check("two at once are both answered")
async def two(talk: Talk) -> str:
    await play(talk, *[Answer(text="Hello there.", token_s=0.02)] * 4)
    told = await asyncio.gather(*(talk.stream(max_tokens=8) for _ in range(3)), talk.ask(max_tokens=8))
    assert len({each.message["content"] for each in told}) == 1
    return YES


@check("a grammar (GBNF) is followed, or refused", able("grammar"))
async def grammar(talk: Talk) -> str:
    await play(talk, Answer(text="yes"))
    told = await talk.ask(grammar='root ::= "yes"', max_tokens=8)
    if not talk.subject.capabilities.grammar:
        return refuses(told)
    assert told.message["content"] == "yes"
    return YES


@check("an answer fits a JSON schema")
async def schema(talk: Talk) -> str:
    wanted = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}
    await play(talk, Answer(text='{"a": 1}'))
    told = await talk.ask(response_format=form, max_tokens=100)
    assert json.loads(told.message["content"]) == {"a": 1}
    if talk.subject.traits.scripted:
        heard = talk.subject.heard()
        assert wanted in (heard.get("format"), heard.get("response_format", {}).get("json_schema", {}).get("schema"))
    return YES


@check("a raw prompt is completed, or refused", able("raw"))
async def raw(talk: Talk) -> str:
    told = await talk.complete("once upon a time", max_tokens=8)
    if not talk.subject.capabilities.raw:
        return refuses(told)
    assert told.status == 200
    assert isinstance(told.body["choices"][0]["text"], str)
    assert told.timings["predicted_n"] > 0
    return YES


@check("a forced call is taken, or refused", able("forced_tools"))
async def forced(talk: Talk) -> str:
    await play(talk, Answer(tool_calls=(Call(name="read", arguments={"path": "a"}),)))
    told = await talk.ask(tools=tools("read"), tool_choice="required", max_tokens=40)
    if not talk.subject.capabilities.forced_tools:
        return refuses(told)
    assert told.status == 200
    if talk.subject.traits.scripted:
        assert talk.subject.heard()["tool_choice"] == "required"
    return YES


@check("a model that is not there is told as such")
async def stranger(talk: Talk) -> str:
    engine = talk.subject.stranger()
    with pytest.raises(ModelUnavailable):
        await engine.check()
    with pytest.raises(ModelUnavailable) as caught:
        await engine.start(lambda _progress: None)
    assert engine.state is EngineState.FAILED
    assert engine.cause == caught.value.what
    await engine.stop()
    return YES


@check("a canary comes back, and what it does can be seen or not at all")
async def canary(talk: Talk) -> str:
    await play(talk, *[Answer(text="Hello there.")] * 2)
    before = await talk.engine.look()
    await talk.engine.canary()
    await talk.ask(max_tokens=4)
    after = await talk.engine.look()
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert not after.working
        assert sum(after.tokens.values()) >= sum(before.tokens.values())
    return YES


@check("an engine stops twice and another starts in its place")
async def renewed(talk: Talk) -> str:
    told: list[LoadProgress] = []
    first = talk.engine
    await asyncio.gather(first.stop(), first.stop())
    await first.wait()
    assert first.state is EngineState.STOPPED
    assert first.pid is None
    second = await talk.renew()
    assert second.context_length > 0
    assert second.slots > 0
    await play(talk, Answer(text="Hello there."))
    assert (await talk.ask(max_tokens=4)).status == 200
    assert not told
    return YES


@check("an error in the middle of a stream is its last word", scripted)
async def broken(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    await play(talk, Answer(text="Hello there, and more.", fault=Fault.ERROR_CHUNK, after=2))
    told = await talk.stream()
    assert told.message["content"] == "Hello th"
    assert not told.done
    assert told.events[-1]["error"]["message"]
    return YES


@check("an engine that fails at once says so", scripted)
async def failed(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    await play(talk, Answer(fault=Fault.HTTP_500))
    told = await talk.ask()
    assert told.status == 500
    assert (told.error["source"], bool(told.error["message"])) == ("engine", True)
    return YES


@check("a connection that breaks is an error, never an answer", scripted)
async def cut(talk: Talk) -> str:
    if not talk.subject.traits.scripted:
        return ELSEWHERE
    await play(talk, Answer(text="Hello there, and more.", fault=Fault.DISCONNECT, after=2))
    told = await talk.stream()
    assert not told.done
    assert told.events[-1]["error"]["source"] == "engine"
    return YES


@check("an engine that is gone in the middle of an answer is noticed",
       lambda subject: YES if subject.traits.ends else ELSEWHERE)  # fmt: skip
async def gone(talk: Talk) -> str:
    if not talk.subject.traits.ends:
        return ELSEWHERE
    await play(talk, *[Answer(text="words without end " * 500, token_s=0.05)] * 3)
    async with talk.begun(max_tokens=talk.engine.context_length // 2) as events:
        seen = [await anext(events)]
        await talk.subject.break_off(talk.engine)
        async with asyncio.timeout(20):
            seen += [event async for event in events]
    assert "[DONE]" not in seen
    assert json.loads(seen[-1])["error"]["source"] == "engine"
    await talk.renew()
    return YES
