"""Seeded stories of engines that fail under several clients, told through the real supervisor, watchdog and relay.

Nothing of hearth is replaced but its engine, which pretends, and its clock's length: all limits are a fraction as long.
Only the network between client and gateway is left out: the gateway is called as its server calls it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from hearth.gateway.app import Gateway
from hearth.gateway.keys import load_key
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, EngineState
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import Answer, Fault, Load, PretendEngine, PretendProcess, Script
from hearth.runtime.pretend.script import Health
from hearth.runtime.restarts import MOST_FAILURES, Pause, Restarts
from hearth.runtime.supervisor import Supervisor
from hearth.runtime.watch.vigil import Limits
from hearth.runtime.watch.watchdog import Watchdog
from hearth.settings import EngineSettings, KvSettings, Settings
from hearth.weights.card import ModelCard
from hearth.weights.hardware import Machine

MODEL = "small"
GIB = 1 << 30
MACHINE = Machine((), 16 * GIB, 12 * GIB, 4, (), unified=False, memory_bandwidth=None)
LONGEST_S = 60.0
"""Within which each request must have ended, whatever happens to it: far more than any needs."""

SILENT = (Fault.STALL, Fault.STALL_IN_PREFILL, Fault.FREEZE, Fault.FREEZE_IN_PREFILL, Fault.UNSCHEDULED)
"""The faults that only a watchdog finds."""
OTHERS = (Fault.DIE, Fault.GARBAGE, Fault.HTTP_500, Fault.DISCONNECT, Fault.ERROR_CHUNK, Fault.DRIBBLE, Fault.TRUNCATED)


class Restarting(Restarts):
    """The same back-off, with all its times a fraction as long."""

    def __init__(self, scale: float) -> None:
        super().__init__(clock=lambda: time.monotonic() / scale)
        self._scale = scale

    def pause(self, model: Any) -> Pause | None:
        """With real seconds to wait."""
        found = super().pause(model)
        return replace(found, wait_s=found.wait_s * self._scale) if found else None


@dataclass
class Question:
    """What one client asks, and what came of it."""

    name: str
    at_s: float
    stream: bool
    progress: bool
    leaves_after_s: float | None
    reads_after_s: float
    """How long the client does not read, after its first piece."""
    status: int = 0
    body: bytes = b""
    left: bool = False

    @property
    def error(self) -> dict[str, Any]:
        """The error that ended it, empty when none did, or nobody waited for it."""
        if not self.body:
            return {}
        if self.status != 200:
            error: dict[str, Any] = json.loads(self.body)["error"]
            return error
        for line in self.body.split(b"\n\n"):
            if line.startswith(b'data: {"error"'):
                return dict(json.loads(line[6:])["error"])
        return {}

    @property
    def text(self) -> str:
        """What the client has of the answer."""
        if self.status != 200:
            return ""
        if not self.stream:
            garbage = self.body.startswith(b"{this")
            return "" if garbage else _content([json.loads(self.body)["choices"][0]["message"]])
        events = [line[6:] for line in self.body.split(b"\n\n") if line.startswith(b'data: {"choices"')]
        return _content([choice["delta"] for event in events for choice in json.loads(event)["choices"]])


def _content(parts: list[dict[str, Any]]) -> str:
    return "".join(part.get("content") or "" for part in parts)


class Failing(PretendEngine):
    """Tells what it was doing when it was ended as stuck."""

    computing_when_ended: int | None = None

    async def fail(self, cause: str) -> None:
        """Look first."""
        if "was stuck" in cause:
            self.computing_when_ended = self.core.computing
        await super().fail(cause)


@dataclass
class Story:
    """One seed: what the engines do, one after the other, and what is asked."""

    seed: int
    scale: float
    scripts: list[Script]
    questions: list[Question]
    engines: list[Engine] = field(default_factory=list)
    found: list[tuple[str, float, float]] = field(default_factory=list)
    """Fault, after how many seconds at full length its request was let go, and for how many of them nothing else was
    computed."""
    wrong: list[str] = field(default_factory=list)
    starts: int = 0


def tell(seed: int, scale: float, *, real: bool = False) -> Story:
    """The story of a seed. With ``real`` engines there are fewer of them, in processes of their own."""
    dice = random.Random(seed)
    limits = Limits().scaled(scale)
    count = 2 if real else 3
    scripts = [_script(dice, limits, f"{seed}.{number}") for number in range(dice.randint(1, count))]
    if dice.random() < 0.04 and not real:
        # As often as it takes for the model to be given up for a while.
        scripts = [Script(load=Load.DEATH)] * (MOST_FAILURES + 1)
    questions = [
        Question(
            name=f"question {seed}.{number}",
            at_s=dice.choice((0.0, 0.0, dice.uniform(0, limits.decode_s))),
            stream=dice.random() < 0.7,
            progress=dice.random() < 0.5,
            leaves_after_s=dice.uniform(0, limits.decode_s) if dice.random() < 0.1 else None,
            reads_after_s=2 * limits.decode_s if dice.random() < 0.1 else 0.0,
        )
        for number in range(dice.randint(2, 3 if real else 6))
    ]
    return Story(seed, scale, scripts, questions)


def _script(dice: random.Random, limits: Limits, name: str) -> Script:
    if dice.random() < 0.15:
        return Script(load=dice.choice((Load.DEATH, Load.OUT_OF_MEMORY)), loading_s=0.01)
    answers = tuple(_answer(dice, limits, f"{name}.{number}") for number in range(dice.randint(1, 5)))
    return Script(
        answers, health=dice.choice(list(Health)), deaf=dice.random() < 0.3, loading_s=dice.choice((0.0, 0.02))
    )


def _answer(dice: random.Random, limits: Limits, name: str) -> Answer:
    fault = dice.choice((Fault.NONE, dice.choice(SILENT), dice.choice(SILENT), dice.choice(OTHERS)))
    long = fault is Fault.NONE and dice.random() < 0.4
    return Answer(
        text=" ".join(f"{name}.{word}" for word in range(dice.randint(2, 12))),
        prefill_s=dice.uniform(1, 2.5) * limits.prefill_s if long else dice.uniform(0, limits.quiet_s / 4),
        token_s=limits.quiet_s / 1000 if fault is Fault.DRIBBLE else dice.choice((0.0, limits.quiet_s / 20)),
        fault=fault,
        after=dice.randint(0, 4),
        one_batch=dice.random() < 0.5,
    )


async def play(story: Story, home: Path, model_file: Path, *, real: bool = False) -> Story:
    """Let it happen in a home of its own, and note what is wrong with it."""
    paths = resolve_paths({**os.environ, "HEARTH_HOME": str(home)})
    paths.ensure()
    shutil.copy(model_file, paths.models / f"{MODEL}.gguf")
    restarts = Restarting(story.scale)
    limits = replace(Limits().scaled(story.scale), idle_cpu=0.1 if real else Limits().idle_cpu)

    def make(card: ModelCard, launch: Launch, paths: Paths) -> Engine:
        story.starts += 1
        if restarts.pause(card) is not None:
            story.wrong.append(f"engine {story.starts} is made while its model has to wait")
        number = len(story.engines)
        script = story.scripts[number] if number < len(story.scripts) else Script(otherwise=Answer(text="at last"))
        engine: Engine
        if real:
            engine = PretendProcess(card, Launch(context=launch.context, slots=2), paths, script)
        else:
            engine = Failing(script, card=card, listen=paths.runtime / f"e{number}.sock", slots=2)
        story.engines.append(engine)
        return engine

    def open_watch(engine: Engine) -> Watchdog:
        return Watchdog(engine, limits, paths, pulse=None if real else lambda each: cast(Failing, each).pulse())

    settings = Settings(model=MODEL, engine=EngineSettings(context=4096), kv=KvSettings(enabled=False))
    supervisor = Supervisor(settings, paths, make, restarts, measure=lambda: MACHINE, open_watch=open_watch)
    gateway = Gateway(
        supervisor, load_key(paths.key_file), model=MODEL, socket="s", about={"version": "0"}, stop=lambda: None
    )
    try:
        await asyncio.gather(*(_ask(gateway, question, story) for question in story.questions))
        await _until_it_is_back(gateway, story)
    finally:
        gateway.end_streams()
        await gateway.close()
        await supervisor.close()
    _judge(story, paths)
    return story


async def _ask(gateway: Gateway, question: Question, story: Story) -> None:
    await asyncio.sleep(question.at_s)
    body: dict[str, Any] = {"messages": [{"role": "user", "content": question.name}], "stream": question.stream}
    if question.progress:
        body["return_progress"] = True
    try:
        async with asyncio.timeout(LONGEST_S):
            await exchange(gateway, question, json.dumps(body).encode())
    except TimeoutError:
        story.wrong.append(f"{question.name} did not end within {LONGEST_S:.0f} s")


async def exchange(gateway: Gateway, question: Question, body: bytes) -> None:
    """One request as the gateway's server hands it over, to the end of its answer."""
    gone = asyncio.Event()
    bodies = [body]

    async def receive() -> dict[str, Any]:
        if bodies:
            return {"type": "http.request", "body": bodies.pop()}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            question.status = message["status"]
            return
        first = not question.body
        question.body += message.get("body", b"")
        if not message.get("more_body", False):
            gone.set()
        elif first:
            await asyncio.sleep(question.reads_after_s)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "server": ("s", None),
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    asked = asyncio.create_task(gateway(scope, receive, send))
    if question.leaves_after_s is not None:
        await asyncio.wait([asked], timeout=question.leaves_after_s)
        question.left = not asked.done()
        gone.set()
    await asked


async def _until_it_is_back(gateway: Gateway, story: Story) -> None:
    """A plain request succeeds, without a person: asked again, as a client would, while it is refused."""
    last = Question("", 0.0, stream=False, progress=False, leaves_after_s=None, reads_after_s=0.0)
    try:
        async with asyncio.timeout(LONGEST_S):
            for number in range(1000):
                last.name, last.body, last.status = f"question {story.seed}, the last {number}", b"", 0
                await _ask(gateway, last, story)
                if last.status == 200 and not last.error:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    story.wrong.append(f"the engine is not back: {last.body[:300]!r}")


def _judge(story: Story, paths: Paths) -> None:
    for question in story.questions:
        story.wrong += _judge_answer(story, question)
    for number, engine in enumerate(story.engines):
        if engine.state not in (EngineState.STOPPED, EngineState.FAILED):
            story.wrong.append(f"engine {number} is {engine.state} in the end")
        if "was stuck" in engine.cause and not _may_hang(story, number):
            story.wrong.append(f"engine {number} was ended as stuck, and nothing was wrong with it")
        if isinstance(engine, Failing):
            _judge_end(story, number, engine)
    for file in paths.logs.glob("stuck-*.json"):
        told = json.loads(file.read_text())
        if any(question.name in file.read_text() for question in story.questions):
            story.wrong.append(f"{file.name} holds what was asked")
        if not isinstance(story.engines[0], Failing):
            after_s = told["found_after_s"] / story.scale
            story.found.append(("any, in a process of its own", after_s, after_s))
    story.wrong += [f"{left.name} is left" for left in paths.runtime.iterdir() if left.suffix == ".sock"]


def _may_hang(story: Story, number: int) -> bool:
    """Whether one of the answers that this engine gave was one that hangs."""
    engine = story.engines[number]
    if isinstance(engine, Failing):
        return any(hung.fault in SILENT for hung in engine.core.hung)
    return number < len(story.scripts) and any(answer.fault in SILENT for answer in story.scripts[number].answers)


def _judge_end(story: Story, number: int, engine: Failing) -> None:
    if engine.computing_when_ended:
        story.wrong.append(f"engine {number} computed for {engine.computing_when_ended} when it was ended")
    story.found += [
        (str(hung.fault), hung.waited_s / story.scale, hung.still_s / story.scale)
        for hung in engine.core.hung
        if hung.fault in SILENT
    ]


def _judge_answer(story: Story, question: Question) -> list[str]:
    if question.left:
        return []
    if question.error:
        return [f"{question.name}: {what}: {question.error}" for what in _judge_error(story, question, question.error)]
    texts = [answer.text for script in story.scripts for answer in (*script.answers, script.otherwise)] + ["at last"]
    if question.stream and not question.body.rstrip().endswith(b"[DONE]"):
        return [f"{question.name} ended without an end: {question.body[-200:]!r}"]
    if not any(text.startswith(question.text) for text in texts):
        return [f"{question.name} has what nobody said: {question.text!r}"]
    return []


def _judge_error(story: Story, question: Question, error: dict[str, Any]) -> Iterator[str]:
    code = error["code"]
    # What an engine says within a stream goes through as it is, with a number for its code.
    if not error.get("source") and not isinstance(code, int):
        yield "an error that names no source"
    if code in ("gateway_bug", "daemon_stops"):
        yield "an error that should not be"
    if question.text and code in ("engine_lost", "engine_stuck") and "partial" not in error:
        yield "an error that does not say that there is a beginning"
    if not all(isinstance(engine, Failing) for engine in story.engines):
        return
    if code == "engine_not_available":
        if all(script.load is Load.WELL for script in story.scripts):
            yield "a model that always loads was not available"
        return
    visits = list(_visits(story, question))
    if not any(answer.fault is not Fault.NONE or engine.state is EngineState.FAILED for engine, answer in visits):
        yield "an error, and no engine had failed it"
    broke_off = any(answer.fault is Fault.DISCONNECT for _, answer in visits)
    if code in ("engine_lost", "engine_stuck") and len(visits) < 2 and not broke_off and "partial" not in error:
        yield "it had nothing of its answer, and was not asked again"


def _visits(story: Story, question: Question) -> Iterator[tuple[Engine, Answer]]:
    """The engines that got this question, and what each was to answer."""
    for number, engine in enumerate(story.engines):
        assert isinstance(engine, Failing)
        script = story.scripts[number] if number < len(story.scripts) else Script()
        for place, body in enumerate(engine.requests):
            if json.loads(body)["messages"][0]["content"] == question.name:
                yield engine, script.answer(place)


async def play_many(
    seeds: list[int], folder: Path, model_file: Path, *, scale: float, at_once: int, real: bool = False
) -> list[Story]:
    """All of them, so many at a time in this event loop. Whatever is left of it in the end is noted with the last."""
    places = asyncio.Semaphore(at_once)
    before = asyncio.all_tasks()

    async def one(seed: int) -> Story:
        async with places:
            story = tell(seed, scale, real=real)
            home = folder / f"h{seed}"
            try:
                return await play(story, home, model_file, real=real)
            except Exception as error:
                story.wrong.append(f"it broke: {error!r}")
                return story
            finally:
                shutil.rmtree(home, ignore_errors=True)

    stories = await asyncio.gather(*(one(seed) for seed in seeds))
    await asyncio.sleep(0.2)
    left = [task for task in asyncio.all_tasks() - before if not task.done()]
    stories[-1].wrong += [f"a task is left: {task!r}" for task in left]
    return list(stories)


def table(stories: Sequence[Story]) -> str:
    """How long the faults that only a watchdog finds kept a request waiting, in seconds at full length."""
    found: dict[str, list[tuple[float, float]]] = {}
    for story in stories:
        for fault, waited_s, still_s in story.found:
            found.setdefault(fault, []).append((waited_s, still_s))
    lines = ["| fault | seen | found after, median | worst | worst beside others at work |", "|---|---|---|---|---|"]
    for fault, times in sorted(found.items()):
        still = [still_s for _, still_s in times]
        worst_waited = max(waited_s for waited_s, _ in times)
        lines.append(
            f"| {fault} | {len(times)} | {statistics.median(still):.0f} s | {max(still):.0f} s | {worst_waited:.0f} s |"
        )
    return "\n".join(lines)
