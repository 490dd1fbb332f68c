"""What saved KV states spare: ``python -m bench.kv [--width N]``; writes docs/kv-bench.md.

Both sides of each ratio come from the same run, over a real daemon and the real engine, on models with random weights
that are written for it. ``--width`` sets their size: 896, the default, is some 0.4 billion parameters.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.table import Row, markdown, show

sys.path.append(str(Path(__file__).parent.parent / "tests"))
import gguf_models  # the writers of test models
from hearth.ops.daemon import ensure_daemon, stop_daemon
from hearth.ops.local import ask
from hearth.ops.record import read_record
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import LoadProgress
from hearth.runtime.kv.slot_api import SlotApi
from hearth.runtime.launch import Launch
from hearth.runtime.llama.embedded import EmbeddedEngine
from hearth.settings import load_settings
from hearth.weights.card import card_of_file

LONG_WORDS = 1090
"""Words of the long conversation: about 6,000 tokens in the vocabulary of the test models."""
TALK_WORDS = 545
TALKS, TURNS, SLOTS = 8, 5, 2
KILLS = 10
CHAT = "/v1/chat/completions"
PAGE = Path("docs/kv-bench.md")
HEAD = """\
# What saved KV states spare

Made by `make bench-kv` (`python -m bench.kv`): a real daemon, the real engine, random weights. Ratios of two sides of
one run; the seconds are this machine's.

"""
WORDS = ("harbour", "boat", "rope", "water", "light", "stone", "early", "cold", "wind", "bird", "sail", "crew", "tide")


@dataclass
class Talk:
    """A conversation as a client keeps it, and how many tokens of it were ever sent."""

    messages: list[dict[str, Any]]
    total: int = 0


@asynccontextmanager
async def home(write: Callable[[Path], object], kv: bool, **engine: int) -> AsyncIterator[Paths]:
    """A home with one model, and no daemon left behind."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        paths = resolve_paths({"HEARTH_HOME": folder})
        paths.ensure()
        write(paths.models / "m.gguf")
        lines = "".join(f"{name} = {value}\n" for name, value in engine.items())
        paths.config_file.write_text(f'model = "m"\n[engine]\n{lines}[kv]\nenabled = {str(kv).lower()}\nrest_s = 0.5\n')
        os.environ["HEARTH_HOME"] = folder
        os.environ["HEARTH_PORT"] = "0"
        try:
            yield paths
        finally:
            await stop(paths)


async def start(paths: Paths) -> None:
    """The daemon, as a face starts it."""
    await ensure_daemon(paths, load_settings(paths.config_file, os.environ), os.environ, lambda _text: None)


async def stop(paths: Paths) -> None:
    """The daemon, as ``hearth stop`` stops it."""
    await stop_daemon(paths, lambda _text: None)


async def say(paths: Paths, talk: Talk, text: str, tokens: int = 4, model: str = "m") -> dict[str, float]:
    """One turn: the engine's timings, and ``wall_s``."""
    talk.messages.append({"role": "user", "content": text})
    question = {"model": model, "messages": talk.messages, "max_tokens": tokens, "temperature": 0}
    began = time.monotonic()
    answer = await ask(paths.socket, "POST", CHAT, question, timeout_s=1800)
    wall = time.monotonic() - began
    if answer.status != 200:
        raise RuntimeError(f"HTTP {answer.status}: {answer.data}")
    talk.messages.append({"role": "assistant", "content": answer.data["choices"][0]["message"]["content"]})
    timings = answer.data["timings"]
    talk.total = timings["cache_n"] + timings["prompt_n"] + timings["predicted_n"]
    return {**timings, "wall_s": wall}


def words(count: int, seed: int) -> str:
    """Text that differs by the seed from its first word on."""
    return " ".join(WORDS[(seed * 7 + place * place + place) % len(WORDS)] for place in range(count))


async def resume(name: str, write: Callable[[Path], object]) -> list[Row]:
    """A long conversation, cold and after a restart of the daemon; the load is not counted."""
    async with home(write, kv=True, context=8192, slots=2) as paths:
        await start(paths)
        began = time.monotonic()
        await say(paths, Talk([]), "hello", 1)
        load = time.monotonic() - began
        talk = Talk([])
        cold = await say(paths, talk, words(LONG_WORDS, 1), 1)
        held = cold["prompt_n"] + cold["cache_n"]
        await stop(paths)
        await start(paths)
        await say(paths, Talk([]), "hello", 1)
        warm = await say(paths, talk, "?", 1)
    print(f"{name}: {held:,.0f} tokens, load {load:.2f} s, cold {cold['wall_s']:.2f} s, resumed {warm['wall_s']:.3f} s")
    return [
        Row(f"{name}: first token after a restart, of the cold one", warm["wall_s"] / cold["wall_s"], "", 1 / 50),
        Row(f"{name}: prompt read anew", 1 - warm["cache_n"] / held, "of it", 0.02),
    ]


async def round_robin(write: Callable[[Path], object], kv: bool) -> float:
    """More conversations than slots, turn by turn: the share of tokens that were read beyond their first sight."""
    async with home(write, kv=kv, context=8192, slots=SLOTS) as paths:
        await start(paths)
        talks = [Talk([]) for _ in range(TALKS)]
        read, unavoidable = 0.0, 0.0
        for turn in range(TURNS):
            for number, talk in enumerate(talks):
                before = talk.total
                timings = await say(paths, talk, words(TALK_WORDS if not turn else 20, number + 10 * turn))
                read += timings["prompt_n"]
                unavoidable += timings["cache_n"] + timings["prompt_n"] - before
    return read / unavoidable - 1


async def swap(write: Callable[[Path], object], kv: bool) -> float:
    """Conversations on one model, one more than there are slots; it makes room for another and comes back: the share of
    their tokens that is read anew then."""
    async with home(write, kv=kv, context=8192, slots=SLOTS) as paths:
        write(paths.models / "other.gguf")
        await start(paths)
        talks = [Talk([]) for _ in range(SLOTS + 1)]
        for number, talk in enumerate(talks):
            await say(paths, talk, words(TALK_WORDS, number))
        held = sum(talk.total for talk in talks)
        answer = await ask(paths.socket, "POST", "/hearth/models/unload", {"model": "m"}, timeout_s=60)
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}: {answer.data}")
        await say(paths, Talk([]), "hello", model="other")
        reused = sum([(await say(paths, talk, "?"))["cache_n"] for talk in talks])
    return 1 - reused / held


async def replay(write: Callable[[Path], object], kv: bool) -> float:
    """The recorded messages of a client that names no session, sent again after a restart of the daemon: the share of
    them that is read anew."""
    async with home(write, kv=kv, context=8192, slots=SLOTS) as paths:
        await start(paths)
        recorded = Talk([])
        for turn in range(TURNS):
            await say(paths, recorded, words(TALK_WORDS // TURNS, turn))
        await stop(paths)
        await start(paths)
        other = Talk([{"content": each["content"], "role": each["role"]} for each in recorded.messages])
        timings = await say(paths, other, "?")
    return 1 - timings["cache_n"] / recorded.total


async def start_after_kill(write: Callable[[Path], object]) -> list[Row]:
    """How long a daemon takes to answer after the one before was killed in the middle of its work; no model is loaded
    yet."""
    seconds = []
    async with home(write, kv=True, context=8192, slots=SLOTS) as paths:
        await start(paths)
        for number in range(KILLS):
            talks = [Talk([]) for _ in range(SLOTS + 1)]
            for place, talk in enumerate(talks):
                await say(paths, talk, words(200, 3 * number + place))
            busy = asyncio.create_task(say(paths, talks[0], words(200, 5), 400))
            await asyncio.sleep(0.02 * number)
            record = read_record(paths)
            if record is None:
                raise RuntimeError("the daemon is gone")
            os.kill(record.pid, signal.SIGKILL)
            await asyncio.wait([busy])
            busy.exception()
            began = time.monotonic()
            await start(paths)
            seconds.append(time.monotonic() - began)
    print(f"starts after {KILLS} kills: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    return [Row(f"longest of {KILLS} starts after a kill, without the load", max(seconds), "s", 1.0)]


async def steady(write: Callable[[Path], object]) -> list[Row]:
    """What the store costs a decoding engine, and how long a save holds others up."""
    best: dict[bool, list[float]] = {True: [0.0] * TURNS, False: [0.0] * TURNS}
    for kv in (True, False) * 4:
        async with home(write, kv=kv, context=8192, slots=SLOTS) as paths:
            await start(paths)
            talk = Talk([])
            await say(paths, talk, words(200, 3), 1)
            for turn in range(TURNS):
                speed = (await say(paths, talk, words(10, turn), 200))["predicted_per_second"]
                best[kv][turn] = max(best[kv][turn], speed)
    # The best of each turn, since whatever else this machine does only slows it; turn against turn, since what is
    # guessed ahead depends on the text.
    times = {kv: sum(1 / speed for speed in speeds) for kv, speeds in best.items()}
    return [Row("decode lost to the store", max(1 - times[False] / times[True], 0.0), "", 0.02)]


async def save_delay(write: Callable[[Path], object]) -> list[Row]:
    """How long one save of 3,000 tokens holds up whoever asks meanwhile: requests of one token beside saves."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        paths = resolve_paths({"HEARTH_HOME": folder})
        paths.ensure()
        paths.kv.mkdir(mode=0o700)
        write(paths.models / "m.gguf")
        engine = EmbeddedEngine(card_of_file("m", paths.models / "m.gguf"), Launch(context=8192, slots=2), paths)
        await engine.start(quiet)
        api = SlotApi(engine.endpoint)
        try:
            tokens = await api.tokens_of({"messages": [{"role": "user", "content": words(TALK_WORDS, 1)}]})
            await api.prefill(0, tokens)
            alone, beside = [], []
            for turn in range(100):
                began = time.monotonic()
                await api.prefill(1, [5 + turn, 6])
                alone.append(time.monotonic() - began)
                save = asyncio.create_task(api.save(0, "bench.part"))
                await asyncio.sleep(0)
                began = time.monotonic()
                await api.prefill(1, [6 + turn, 7])
                beside.append(time.monotonic() - began)
                await save
        finally:
            await api.close()
            await engine.stop()
    worst = statistics.quantiles(beside, n=100)[98] - statistics.median(alone)
    return [Row("a request beside a save waits longer, p99", worst * 1000, "ms", 50)]


def quiet(_progress: LoadProgress) -> None:
    """Nobody is told."""


async def measure(width: int) -> list[Row]:
    """All of it."""
    # As a model of half a billion parameters has it: one key head for several, a wide feed-forward part.
    shape = {"blocks": 24, "width": width, "kv_heads": 1, "inner": width * 11 // 2}
    kinds: dict[str, Callable[[Path], object]] = {
        "dense": lambda path: gguf_models.write_llama(path, context=8192, **shape),
        "sliding window": lambda path: gguf_models.write_gemma3(path, window=1024, **shape),
        "hybrid": lambda path: gguf_models.write_lfm2(path, context=8192, **shape),
    }
    rows: list[Row] = []
    for name, write in kinds.items():
        rows += await resume(name, write)

    def small(path: Path) -> object:
        return gguf_models.write_llama(path, context=8192, blocks=4, width=256)

    ours, plain = await round_robin(small, kv=True), await round_robin(small, kv=False)
    what = f"{TALKS} conversations over {SLOTS} slots: read beyond first sight"
    rows += [Row(what, ours, "of it", 0.03), Row("the same without the store", plain, "of it")]
    ours, plain = await swap(small, kv=True), await swap(small, kv=False)
    rows += [Row("back after another model: prompts read anew", ours, "of them", 0.02)]
    rows += [Row("the same without the store", plain, "of them")]
    ours, plain = await replay(small, kv=True), await replay(small, kv=False)
    rows += [Row("a recorded history after a restart: read anew", ours, "of it", 0.05)]
    rows += [Row("the same without the store", plain, "of it")]
    return [*rows, *await start_after_kill(small), *await steady(small), *await save_delay(small)]


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="bench.kv", description="What saved KV states spare.")
    parser.add_argument("--width", type=int, default=896)
    options = parser.parse_args()
    rows = asyncio.run(measure(options.width))
    note = f"Width {options.width}, 24 blocks, {os.cpu_count()} CPU cores.\n\n"
    PAGE.write_text(HEAD + note + markdown(rows), encoding="utf-8")
    return show(rows)


if __name__ == "__main__":
    sys.exit(main())
