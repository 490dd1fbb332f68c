"""The agents that are compared, each in a home of its own: how one turn of each is run from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = {
    "opencode": "opencode-ai@1.18.33",
    "pi": "@mariozechner/pi-coding-agent@0.73.1",
    "qwen": "@qwen-code/qwen-code@0.24.4",
}
"""Program and the package that brings it, as of November 2026."""
LIMIT_S = 240.0
MODEL = "bench"


@dataclass(frozen=True, slots=True)
class Client:
    """``command`` runs a turn; ``again`` is put before the prompt from the second turn on."""

    name: str
    command: tuple[str, ...]
    again: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    async def say(self, prompt: str, folder: Path, *, first: bool) -> None:
        """One turn. Raises RuntimeError when the client fails or does not end."""
        command = [*self.command, *(() if first else self.again), prompt]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
        except TimeoutError as error:
            process.kill()
            raise RuntimeError(f"{self.name} did not end within {LIMIT_S:g} s") from error
        if process.returncode:
            raise RuntimeError(f"{self.name} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")


def hearth(url: str, home: Path) -> Client:
    """This one."""
    environment = {"HEARTH_HOME": str(home), "HEARTH_URL": url.removesuffix("/v1"), "HEARTH_MODEL": MODEL}
    return Client("hearth", (sys.executable, "-m", "hearth", "run", "--mode", "auto"), ("-c",), environment)


def others(url: str, home: Path, programs: Path, context: int) -> list[Client]:
    """OpenCode, pi and qwen-code, told of the endpoint in their own ways and kept from asking anybody else."""
    quiet = {"HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "NO_COLOR": "1", "CI": "1"}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": url, "apiKey": "none"},
        "models": {MODEL: {"name": MODEL, "limit": {"context": context, "output": 4096}}},
    }
    opencode = {"provider": {"front": provider}, "share": "disabled", "autoupdate": False, "permission": "allow"}
    listed = {"id": MODEL, "contextWindow": context, "maxTokens": 4096}
    pi = {"baseUrl": url, "api": "openai-completions", "apiKey": "none", "models": [listed]}
    settings = home / ".pi" / "agent"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "models.json").write_text(json.dumps({"providers": {"front": pi}}))
    return [
        Client(
            "pi",
            (str(programs / "pi"), "--offline", "--provider", "front", "--model", MODEL, "-p"),
            ("-c",),
            quiet,
        ),
        Client(
            "OpenCode",
            (str(programs / "opencode"), "run", "-m", f"front/{MODEL}"),
            ("-c",),
            {**quiet, "OPENCODE_CONFIG_CONTENT": json.dumps(opencode), "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        ),
        Client(
            "qwen-code",
            (str(programs / "qwen"), "--auth-type", "openai", "--approval-mode", "yolo"),
            ("--continue",),
            {**quiet, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "OPENAI_MODEL": MODEL},
        ),
    ]


def install(folder: Path) -> Path:
    """The folder of the others' programs, fetched with npm when they are not there. Raises RuntimeError."""
    programs = folder / "node_modules" / ".bin"
    if not all((programs / name).exists() for name in PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *PACKAGES.values()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"npm cannot install the others: {done.stderr[-1000:]}")
    return programs
