"""``hearth run`` as a process, against a pretending engine in this one: what was asked, what was told, what became of
the project."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import typing
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hearth.events import Event, UsageReported
from hearth.messages import Usage
from hearth.runtime.pretend import Answer, Call, PretendEngine, Script
from hearth.weights.store import ModelCard

LIMIT_S = 60.0
Line = dict[str, Any]
KINDS = {kind.type: kind for kind in typing.get_args(Event)}
HARMONY = "gpt-oss-20b"


@dataclass
class Played:
    """One turn that is over: exit code, the lines that were told, standard error, and all requests of the engine."""

    code: int
    lines: list[Line]
    errors: str
    bodies: list[dict[str, Any]]
    priorities: list[str] = field(default_factory=list)

    def told(self, kind: str) -> list[Line]:
        """The lines of one type."""
        return [line for line in self.lines if line["type"] == kind]

    @property
    def result(self) -> Line:
        """The last line."""
        return self.lines[-1]

    @property
    def error(self) -> Line:
        """Why the turn ended as it did."""
        return self.told("error")[-1]

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """The calls that were told, with their arguments."""
        return [(line["name"], json.loads(line["arguments"])) for line in self.told("tool_call")]

    @property
    def results(self) -> list[str]:
        """What the model was told of them."""
        return [line["text"] for line in self.told("tool_result")]

    @property
    def text(self) -> str:
        """What was told as text, less what does not count."""
        kept = ""
        for line in self.lines:
            if line["type"] == "text":
                kept += line["text"]
            elif line.get("phase") == "resample" or line["type"] == "tool_call":
                kept = ""
        return kept

    @property
    def resampled(self) -> list[str]:
        """Why answers were asked for again."""
        return [line["note"] for line in self.told("progress") if line["phase"] == "resample"]

    @property
    def rewrites(self) -> list[str]:
        """The kinds of rewrites."""
        return [line["kind"] for line in self.told("rewrite")]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The history as it was sent last."""
        found: list[dict[str, Any]] = self.bodies[-1]["messages"]
        return found


@dataclass
class Stage:
    """An engine that plays, and a project. ``play`` runs turns against it."""

    engine: PretendEngine
    project: Path
    model: str

    async def play(
        self, prompt: str, *options: str, during: Callable[[], Any] | None = None, **environment: str
    ) -> Played:
        """One turn. ``during`` is awaited while it runs; what it returns, if a signal, is sent."""
        before = len(self.engine.requests)
        process = await self._start("run", prompt, "--output-format", "stream-json", *options, **environment)
        try:
            if during and (number := await during()):
                process.send_signal(number)
            out, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
        except BaseException:
            process.kill()
            raise
        lines = [json.loads(line) for line in out.decode().splitlines()]
        bodies = [json.loads(body) for body in self.engine.requests[before:]]
        played = Played(process.returncode or 0, lines, err.decode(), bodies, self.engine.priorities[before:])
        check_contract(played)
        check_history(played)
        return played

    async def hearth(self, *arguments: str) -> str:
        """Another command, which must end well; what it printed."""
        process = await self._start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def _start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hearth", *arguments),
            cwd=self.project,
            env={**os.environ, "HEARTH_URL": self.engine.endpoint.url, "HEARTH_MODEL": self.model, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )


@asynccontextmanager
async def stage(
    project: Path,
    answers: Sequence[Answer | str],
    *,
    model: str = "pretend",
    context: int = 32_768,
    sees: bool = False,
    **script: Any,
) -> AsyncIterator[Stage]:
    """An engine that claims to serve ``model`` and plays these answers, over a project folder."""
    project.mkdir(exist_ok=True)
    played = tuple(Answer(text=answer) if isinstance(answer, str) else answer for answer in answers)
    card = ModelCard(model, Path("pretend.gguf"), 0, "a model that only pretends")
    async with PretendEngine(Script(answers=played, **script), card=card, context=context, sees=sees) as engine:
        yield Stage(engine, project, model)


def call(name: str, text: str = "", **arguments: Any) -> Answer:
    """An answer with one call."""
    return Answer(text=text, tool_calls=(Call(name, arguments),))


def interrupt_when(happened: Callable[[], bool]) -> Callable[[], Any]:
    """For ``during``: Ctrl-C as soon as this has happened."""

    async def wait() -> signal.Signals:
        async with asyncio.timeout(LIMIT_S):
            while not happened():
                await asyncio.sleep(0.02)
        return signal.SIGINT

    return wait


def check_contract(played: Played) -> None:
    """The lines are those of ``hearth.events``, field by field, in the order that it promises."""
    lines = played.lines
    assert lines, played.errors
    usage = ["step", *(each.name for each in fields(Usage))]
    for line in lines:
        kind = KINDS[line["type"]]
        names = usage if kind is UsageReported else list(kind.__struct_fields__)
        assert list(line) == ["type", *names]
    kinds = [line["type"] for line in lines]
    assert kinds[-1] == "result"
    assert kinds.count("result") == 1
    assert [at for at, kind in enumerate(kinds) if kind == "session"] == [0]
    assert all(kinds[at + 1] == "result" for at, kind in enumerate(kinds) if kind == "error")
    assert ("error" in kinds) == (lines[-1]["status"] != "completed")
    if "error" in kinds:
        assert played.code == played.error["exit_code"]
    running = ""
    for line in lines:
        match line["type"]:
            case "tool_call":
                assert not running
                running = line["id"]
            case "output":
                assert line["id"] == running
            case "tool_result":
                assert line["id"] == running
                running = ""
            case "progress":
                assert not running or line["phase"] == "subagent"
            case kind:
                assert not running, f"{kind} within a call"
    steps = [line["step"] for line in lines if line["type"] == "usage"]
    assert steps == sorted(steps)
    # What an answer cost that did not count is told of the same step, just before that is said.
    assert len(steps) - len(set(steps)) <= sum(line.get("phase") == "resample" for line in lines)


def check_history(played: Played) -> None:
    """Every request is one that any chat template can render, and each begins as the one before it, but where a
    rewrite was told."""
    chats: dict[str, list[dict[str, Any]]] = {}
    for body, priority in zip(played.bodies, played.priorities, strict=True):
        if "messages" not in body:
            continue
        messages = body["messages"]
        check_messages(messages)
        # All sub-agents of one kind begin with the same words: each is a chat of its own.
        begins = priority == "subagent" and len(messages) == 2
        before = [] if begins else chats.get(messages[0]["content"], [])
        if not played.rewrites:
            assert messages[: len(before)] == before, "an earlier message was changed"
        chats[messages[0]["content"]] = messages


def check_messages(messages: list[dict[str, Any]]) -> None:
    """System, user, then answers, each with a result for every call of it; arguments are JSON objects."""
    assert messages[0]["role"] == "system"
    assert messages[1]["role"] == "user"
    assert messages[-1]["role"] in ("user", "tool")
    waiting: list[str] = []
    last = "user"
    for message in messages[2:]:
        role = message["role"]
        if role == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            assert message["content"]
        else:
            assert not waiting, "a call without a result"
            assert role != last
            if role == "user":
                assert message["content"]
        if role == "assistant":
            waiting = [each["id"] for each in message.get("tool_calls", ())]
            assert all(
                isinstance(json.loads(each["function"]["arguments"]), dict) for each in message.get("tool_calls", ())
            )
        last = role
    assert not waiting
