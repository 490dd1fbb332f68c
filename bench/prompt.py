"""The weight of the first request of ``hearth run hello``, with the standard tools: ``python -m bench.prompt``."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.table import Row, show

from hearth.runtime.pretend import PretendEngine

LIMIT = 5_500
"""Bytes of the JSON body. Recorded from others: pi 0.73.1 5,545, OpenCode 1.18.33 30,705, qwen-code 78,718."""


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
    ]


if __name__ == "__main__":
    sys.exit(show(rows()))
