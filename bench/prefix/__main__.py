"""A session of 50 turns through hearth, pi, OpenCode and qwen-code: ``python -m bench.prefix [--turns N]``.

Needs node and npm: the others are fetched into ``work-peers/`` once. Writes docs/prefix.md. The model's answers are
scripted, the same for all; each prompt is read by the real engine (random weights), whose own figures are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.prefix import clients, script
from bench.prefix.front import Front, Reading
from bench.words import learn_words

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import gguf_models  # the writer of test models
from hearth.ops.daemon import ensure_daemon, stop_daemon
from hearth.paths import resolve_paths
from hearth.settings import load_settings

TURNS = 50
CONTEXT = 262_144
PAGE = Path("docs/prefix.md")
PROGRAMS = Path("work-peers")
TEMPLATE = """\
{%- if tools -%}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for message in messages -%}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% elif message.content %}\
{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}\
{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""All that a client sends is in the prompt: tools, roles, texts, calls."""
HEAD = """\
# What agents make the engine read again

Made by `make bench-prefix`: one session of {turns} turns ({steps} requests of hearth), the same scripted answers for
each agent, the prompts read by the real engine (random weights, a vocabulary of 8,192 learned tokens). *Could be
reused* is what an agent that never changes what it sent would have had; *again* is what was read although it had been
read before. An agent that shortens its conversation on purpose pays for it here, hearth too.

"""


async def measure(turns: int, only: str, programs: Path) -> list[tuple[str, Reading, float]]:
    """Each agent's readings, and the seconds of its session."""
    found = []
    with tempfile.TemporaryDirectory(prefix="hearth-") as scratch:
        paths = resolve_paths({"HEARTH_HOME": f"{scratch}/daemon"})
        paths.ensure()
        words, _ = learn_words()
        model = paths.models / f"{clients.MODEL}.gguf"
        gguf_models.write_llama(model, context=CONTEXT, blocks=1, template=TEMPLATE, words=words)
        paths.config_file.write_text(f'model = "{clients.MODEL}"\n[engine]\ncontext = {CONTEXT}\nslots = 2\n')
        environment = {**os.environ, "HEARTH_HOME": f"{scratch}/daemon", "HEARTH_PORT": "0"}
        await ensure_daemon(paths, load_settings(paths.config_file, environment), environment, print)
        try:
            folder = Path(scratch) / "project"
            front = Front(paths.socket, clients.MODEL, CONTEXT, partial(script.answer, folder=folder))
            async with front.serve():
                agents = [clients.hearth(front.url, Path(scratch) / "hearth")]
                if only != "hearth":
                    home = Path(scratch) / "home"
                    agents += clients.others(front.url, home, clients.install(programs), CONTEXT)
                for agent in agents:
                    if only and only != agent.name:
                        continue
                    found.append(await _play(agent, front, folder, turns))
        finally:
            await stop_daemon(paths, print)
    return found


async def _play(agent: clients.Client, front: Front, folder: Path, turns: int) -> tuple[str, Reading, float]:
    folder.mkdir(exist_ok=True)
    script.write_project(folder)
    reading = front.reading = Reading()
    began = time.monotonic()
    for turn in range(turns):
        await agent.say(script.prompt(turn), folder, first=turn == 0)
    seconds = time.monotonic() - began
    print(
        f"{agent.name}: {reading.requests} requests, {reading.share:.4f} of {reading.could:,} reused, {seconds:.0f} s"
    )
    return agent.name, reading, seconds


def page(found: list[tuple[str, Reading, float]], turns: int) -> str:
    """The page that is written."""
    steps = next((reading.requests for name, reading, _ in found if name == "hearth"), 0)
    lines = [
        "| agent | requests | first request, bytes | all prompts, tokens | could be reused | reused | share | again |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, reading, _ in found:
        lines.append(
            f"| {name} | {reading.requests} | {reading.first:,} | {reading.prompt:,} | {reading.could:,} "
            f"| {reading.reused:,} | {reading.share:.1%} | {reading.could - reading.reused:,} |"
        )
    return HEAD.format(turns=turns, steps=steps) + "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="bench.prefix", description="What agents make the engine read again.")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--only", default="", help="one agent alone; nothing is written")
    parser.add_argument("--programs", type=Path, default=PROGRAMS, help="where npm puts the others")
    options = parser.parse_args()
    found = asyncio.run(measure(options.turns, options.only, options.programs.resolve()))
    text = page(found, options.turns)
    print(text)
    if not options.only:
        PAGE.write_text(text, encoding="utf-8")
    ours = next((reading.share for name, reading, _ in found if name == "hearth"), 1.0)
    return 0 if ours >= 0.99 else 1


if __name__ == "__main__":
    sys.exit(main())
