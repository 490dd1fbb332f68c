"""What keeping within the window costs: ``python -m bench.context [--steps N] [--window N …] [--kind K …]``.

A scripted session, 120 steps long, in windows that it fills many times. Each prompt is read by the real engine (random
weights of three kinds, a vocabulary like those of models), whose own figures are counted: what it could have reused,
what it did, and what each rewrite of the history made it read beside what hearth had said. Once the session is closed
and gone on with, once the daemon is ended and started anew.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from bench.prefix.front import Front, Read
from bench.prefix.script import Answer
from bench.words import gguf_models, learn_words
from tokenizers import Tokenizer

from hearth.agent.assemble import Start, open_session
from hearth.agent.summary import ASK
from hearth.events import Failed, Rewritten
from hearth.ops.daemon import ensure_daemon, stop_daemon
from hearth.paths import Paths, resolve_paths
from hearth.settings import load_settings

STEPS = 120
STEPS_A_TURN = 12
RESTARTED = 6
"""The turn before which the daemon is ended and started anew."""
MUCH = 64
NOTHING = "Without a rewrite nothing was read again."
MISCOUNTED = 32
"""Tokens of a prompt by which we may count otherwise than the engine."""
WINDOWS = (8_192, 16_384)
MODEL = "bench"
PAGE = Path("docs/context-bench.md")
KINDS: dict[str, Callable[..., Path]] = {
    "dense": gguf_models.write_llama,
    "sliding": gguf_models.write_gemma3,
    "hybrid": gguf_models.write_lfm2,
}
TEMPLATE = """\
{%- if tools -%}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for message in messages -%}<|im_start|>{{ message.role }}
{{ message.content or "" }}\
{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""All that is sent is in the prompt: tools, roles, texts, calls."""
SESSIONS = (
    *("model", "window", "requests", "masked", "compacted", "all prompts", "could", "reused", "share", "read"),
    "never rewritten",
)
REWRITES = (
    *("model", "window", "rewrite", "times", "before", "after", "question read", "prompt", "could", "reused"),
    *("told, s", "took, s"),
)
HEAD = """\
# What keeping within the window costs

Made by `make bench-context`: {steps} scripted steps, a session closed and gone on with, a daemon ended and started anew
on the way. The prompts are read by the real engine (random weights, a learned vocabulary). *Could* is the longest
beginning that a prompt shares with an earlier one of the session; *again* is what was read although it had been read
before; *never rewritten* is what was reused beside what an agent in a window without end would have reused.
Below are the means of each kind of rewrite: the tokens that hearth told, those that the question for a summary made the
engine read (the last result is in them), the next prompt, and the seconds to read it as told and as they were.

"""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One rewrite as it was told, and the number of the first request after it."""

    told: Rewritten
    at: int


@dataclass(slots=True)
class Found:
    """One session: each prompt as the engine read it, with the tokens that it shares with an earlier one."""

    kind: str
    window: int
    reads: list[tuple[Read, int]] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    seconds: float = 0.0


class Script:
    """The model's part: it looks, changes, runs, and says why; asked for a summary, it gives one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps = 0
        self._in_turn = 0

    def begin(self) -> None:
        """A turn begins."""
        self._in_turn = 0

    def answer(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Answer:
        """The next words."""
        if str(messages[-1]["content"]).startswith(ASK[:40]):
            lines = [f"- step {step} was decided because module_{step % 9}.py needs it" for step in range(12)]
            return Answer(
                "Goal: count the steps.\nDecisions:\n" + "\n".join(lines) + "\nNext: go on with the next one."
            )
        self.steps += 1
        self._in_turn += 1
        if self._in_turn >= STEPS_A_TURN:
            return Answer(f"Step {self.steps}: this part is done, the figures are as they should be.")
        step = self.steps
        name = f"module_{step // 3 % 9}.py"
        match step % 3:
            case 0:
                call = "read", {"path": name, "offset": 1 + step % 5}
            case 1:
                old = (self.folder / name).read_text().splitlines()[2]
                new = f"STEP = {step}"
                call = "edit", {"path": name, "old": old, "new": new}
            case _:
                call = "bash", {"command": f"python check.py {step}"}
        text = f"Decision {step}: {name} comes next, because step {step} depends on it."
        return Answer(text, call[0], json.dumps(call[1]), f"call_{step}")


def write_project(folder: Path) -> None:
    """Modules of sizes that people write, and a program that says much."""
    for number in range(9):
        lines = [f'"""Module {number}."""', "", "STEP = 0", ""]
        for index in range(20 + 9 * number):
            lines += [f"def step_{number}_{index}(value: int) -> int:", f"    return value * {number} + {index}", ""]
        (folder / f"module_{number}.py").write_text("\n".join(lines) + "\n")
    (folder / "check.py").write_text(
        "import sys\n\nstep = int(sys.argv[1])\n"
        "for line in range(20 + step * 37 % 160):\n"
        "    print(f'check {step}.{line}: module_{line % 9} gives {line * step % 9973} in {line % 7} ms')\n"
    )


class Counter:
    """Counts as the engine does."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        environment = jinja2.Environment()
        environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
        self._template = environment.from_string(TEMPLATE)
        self._earlier: list[list[int]] = []

    def count(self, answer: Answer) -> int:
        """The tokens of an answer with what ends it."""
        call = f'<tool_call>{{"name": "{answer.name}", "arguments": {json.dumps(answer.arguments)}}}</tool_call>'
        return len(self._tokenizer.encode(answer.text + (call if answer.name else "")).ids) + 1

    def shared(self, read: Read) -> int:
        """How many tokens a prompt has in common with the earlier one that it shares most with."""
        messages = [_opened(message) for message in read.messages]
        text = self._template.render(messages=messages, tools=read.tools, add_generation_prompt=True)
        tokens = self._tokenizer.encode(text).ids
        if abs(len(tokens) - read.prompt) > MISCOUNTED:
            raise RuntimeError(f"counted {len(tokens)} tokens where the engine read {read.prompt}")
        most = max((_common(tokens, earlier) for earlier in self._earlier), default=0)
        self._earlier.append(tokens)
        return most


def _opened(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the engine gives it to a template: the arguments of its calls are objects."""
    calls = message.get("tool_calls") or []
    functions = [{**call["function"], "arguments": json.loads(call["function"]["arguments"])} for call in calls]
    return {**message, "tool_calls": [{"function": function} for function in functions]}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


async def play(kind: str, window: int, steps: int, words: Any, tokenizer: Tokenizer) -> Found:
    """One session in one window on one kind of model."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as scratch:
        paths = resolve_paths({"HEARTH_HOME": f"{scratch}/daemon"})
        paths.ensure()
        KINDS[kind](paths.models / f"{MODEL}.gguf", context=2 * window, template=TEMPLATE, words=words)
        paths.config_file.write_text(f'model = "{MODEL}"\n[engine]\ncontext = {window}\nslots = 2\n')
        environment = {**os.environ, "HEARTH_HOME": f"{scratch}/daemon", "HEARTH_PORT": "0"}
        folder = Path(scratch) / "project"
        folder.mkdir()
        write_project(folder)
        script, counter = Script(folder), Counter(tokenizer)
        await _start(paths, environment)
        front = Front(paths.socket, MODEL, window, script.answer, counter.count)
        began = time.monotonic()
        try:
            async with front.serve():
                rewrites = await _turns(front, paths, environment, script, steps)
        finally:
            await stop_daemon(paths, str)
        reads = [(read, counter.shared(read)) for read in front.reads]
        return Found(kind, window, reads, rewrites, time.monotonic() - began)


async def _start(paths: Paths, environment: dict[str, str]) -> None:
    await ensure_daemon(paths, load_settings(paths.config_file, environment), environment, str)


async def _turns(front: Front, paths: Paths, environment: dict[str, str], script: Script, steps: int) -> list[Rewrite]:
    """Play all turns; the rewrites that were told."""
    folder, rewrites = script.folder, list[Rewrite]()
    told = {**environment, "HEARTH_HOME": str(folder.parent / "agent"), "HEARTH_URL": front.url, "HEARTH_MODEL": MODEL}
    home = resolve_paths(told)
    settings = load_settings(home.config_file, told)
    for turn in itertools.count():
        if script.steps >= steps:
            break
        if turn == RESTARTED:
            await stop_daemon(paths, str)
            await _start(paths, environment)
        # Each turn opens the session anew, as with ``hearth run -c``: what was learned is read from the transcript.
        session = await open_session(home, settings, environment, Start("auto", folder, "" if turn else None))
        script.begin()
        prompt = f"[turn {turn}] Make the modules count the steps up to {turn}, and check each; never touch check.py."
        try:
            async with aclosing(session.turn(prompt)) as events:
                async for event in events:
                    if isinstance(event, Rewritten):
                        rewrites.append(Rewrite(event, len(front.reads)))
                    elif isinstance(event, Failed):
                        raise RuntimeError(f"turn {turn}, step {script.steps}: {event.message}")
        finally:
            await session.close()
    return rewrites


def _sum_up(found: Found) -> list[str]:
    """One row of the first table."""
    prompts = sum(read.prompt for read, _ in found.reads)
    reused = sum(min(read.reused, shared) for read, shared in found.reads)
    could = sum(shared for _, shared in found.reads)
    computed = sum(read.prompt - read.reused for read, _ in found.reads)
    longest = never = 0
    for read, _ in found.reads:
        never, longest = never + min(read.prompt, longest), max(longest, read.prompt)
    kinds = [sum(rewrite.told.kind == kind for rewrite in found.rewrites) for kind in ("mask", "compaction")]
    texts = [found.kind, f"{found.window:,}", len(found.reads), *kinds, f"{prompts:,}", f"{could:,}", f"{reused:,}"]
    return [*map(str, texts), f"{reused / could:.1%}", f"{computed:,}", f"{reused / never:.1%}"]


def _cells(found: Found, rewrite: Rewrite) -> list[float]:
    """What one rewrite came to, in the order of REWRITES."""
    read, shared = found.reads[rewrite.at]
    before = found.reads[rewrite.at - 1][0] if rewrite.at else None
    asked = before.prompt - before.reused if before and is_question(before) else 0
    told = rewrite.told
    return [told.before, told.after, asked, read.prompt, shared, read.reused, told.read_s, read.seconds]


def _tell_rewrites(found: Found) -> list[str]:
    """The rows of the second table: the mean of each kind of rewrite."""
    rows = []
    for kind in dict.fromkeys(rewrite.told.kind for rewrite in found.rewrites):
        cells = [_cells(found, rewrite) for rewrite in found.rewrites if rewrite.told.kind == kind]
        means = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        shown = [*(f"{mean:,.0f}" for mean in means[:-2]), *(f"{mean:.2f}" for mean in means[-2:])]
        rows.append(" | ".join([found.kind, f"{found.window:,}", kind, str(len(cells)), *shown]))
    return [f"| {row} |" for row in rows]


def _tell_again(found: Found) -> list[str]:
    """Prompts of which much was read although the engine had read it, and nothing was rewritten."""
    after = {rewrite.at for rewrite in found.rewrites}
    return [
        f"{found.kind} {found.window:,}, request {place + 1}: {read.prompt:,} tokens, {shared:,} known, "
        f"{read.reused:,} reused"
        for place, (read, shared) in enumerate(found.reads)
        if shared - read.reused > MUCH and place not in after
    ]


def _head_of(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 1)}"]


def page(found: Sequence[Found], steps: int) -> str:
    """The page that is written."""
    lines = _head_of(SESSIONS)
    lines += [f"| {' | '.join(_sum_up(each))} |" for each in found]
    lines += ["", *_head_of(REWRITES)]
    lines += [row for each in found for row in _tell_rewrites(each)]
    again = [f"- {line}" for each in found for line in _tell_again(each)]
    lines += [
        "",
        f"Without a rewrite more than {MUCH} known tokens were read again in:" if again else NOTHING,
        "",
        *again,
    ]
    return HEAD.format(steps=steps) + "\n".join(lines).rstrip() + "\n"


def is_question(read: Read) -> bool:
    """Whether this prompt asks for a summary."""
    return str(read.messages[-1]["content"]).startswith(ASK[:40])


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="bench.context", description="What keeping within the window costs.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--window", type=int, action="append", help="only such windows; nothing is written")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only such models; nothing is written")
    options = parser.parse_args()
    words, tokenizer = learn_words()
    found = []
    for kind in options.kind or KINDS:
        for window in options.window or WINDOWS:
            found.append(asyncio.run(play(kind, window, options.steps, words, tokenizer)))
            print(" ".join(_sum_up(found[-1])), f"{found[-1].seconds:.0f} s", flush=True)
    text = page(found, options.steps)
    print(text)
    if not (options.window or options.kind):
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
