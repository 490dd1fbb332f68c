"""What the first request of ``hearth run hello`` weighs, and the prompt of each tier: ``python -m bench.prompt``."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.table import Row, show

from hearth.agent.equipment import make_toolbox
from hearth.llm.profile import profile_for, worded
from hearth.runtime.pretend import PretendEngine
from hearth.settings import ProfileSettings

LIMIT = 5_500
"""Bytes of the JSON body. Recorded from others: pi 0.73.1 5,545, OpenCode 1.18.33 30,705, qwen-code 78,718."""

MOST_TOKENS = {"minimal": 350, "standard": 1200, "full": 2500}
"""Of the prompt of each tier; `tests/llm/test_profile_weight.py` counts with a real tokenizer too."""
CHARACTERS_A_TOKEN = 3.5


async def record_first_request() -> bytes:
    """The body that ``hearth run hello`` sends first, in an empty folder, to an engine that pretends."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        project.mkdir()
        async with PretendEngine() as engine:
            environment = {**os.environ, "HEARTH_HOME": f"{scratch}/home", "HEARTH_URL": engine.endpoint.url}
            command = (sys.executable, "-m", "hearth", "run", "hello", "-m", "standard")
            process = await asyncio.create_subprocess_exec(
                *command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            if code := await process.wait():
                raise SystemExit(f"hearth run hello ended with {code}")
            return engine.requests[0]


def rows() -> list[Row]:
    """The weight, and what it is made of."""
    body = asyncio.run(record_first_request())
    request = json.loads(body)
    tools = len(json.dumps(request["tools"], ensure_ascii=False, separators=(",", ":")).encode())
    system = len(json.dumps(request["messages"][0], ensure_ascii=False, separators=(",", ":")).encode())
    return [
        Row("first request of hearth run hello", len(body), "bytes", LIMIT),
        Row(f"of these: {len(request['tools'])} tools", tools, "bytes"),
        Row("of these: the system message", system, "bytes"),
        *(
            Row(f"prompt of tier {tier}, tools in it", weigh_tier(tier), "tokens", most)
            for tier, most in MOST_TOKENS.items()
        ),
    ]


def weigh_tier(tier: str) -> int:
    """Tokens of a tier's system text and tools, a token for 3.5 characters."""
    own = {"standard": ProfileSettings(tier=tier)}  # type: ignore[arg-type]  # one of its three words
    profile = profile_for("standard", own=own)
    with tempfile.TemporaryDirectory() as scratch:
        specs = make_toolbox(profile.tools, Path(scratch)).specs
    tools = [json.dumps(worded(spec, profile).to_wire()) for spec in specs]
    return round(len("\n".join([profile.system, *tools])) / CHARACTERS_A_TOKEN)


if __name__ == "__main__":
    sys.exit(show(rows()))
