"""A real daemon over a home of its own, as journeys talk to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

from hearth.ops.daemon import ensure_daemon, is_alive
from hearth.ops.local import ask
from hearth.paths import Paths
from hearth.settings import Settings

CHAT = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "hello"}]}


def hearth(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with further environment variables."""
    command = [sys.executable, "-m", "hearth", *arguments]
    environment = {**os.environ, **more}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


async def until_alive(paths: Paths) -> None:
    """Wait for the daemon."""
    async with asyncio.timeout(60):
        while True:
            if await is_alive(paths.socket):
                return
            await asyncio.sleep(0.02)


async def start_in_background(paths: Paths, told: list[str] | None = None) -> None:
    """What a face does."""
    await ensure_daemon(paths, Settings(), os.environ, (told if told is not None else []).append)


async def status(paths: Paths) -> dict[str, Any]:
    """The daemon's own report."""
    data: dict[str, Any] = (await ask(paths.socket, "GET", "/hearth/status")).data
    return data
