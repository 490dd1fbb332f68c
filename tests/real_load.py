"""Loads a model for real, as hearth does, and tells what it took."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from hearth.runtime.launch import Launch
from hearth.runtime.llama.probe import DeviceMemory, read_load
from hearth.runtime.llama.worker_options import WorkerOptions
from hearth.runtime.process import Process
from hearth.weights.fit import Request


async def loaded_memory(model: Path, request: Request, home: Path) -> DeviceMemory:
    """What the host holds once the worker serves ``model``. It is ended afterwards."""
    process = Process(
        [sys.executable, "-m", "hearth.runtime.llama.worker"],
        environment={**os.environ, "GGML_NO_BACKTRACE": "1"},
        log_file=home / "load.log",
    )
    options = WorkerOptions(
        model=str(model),
        name="loaded",
        socket=str(home / "load.sock"),
        api_key="a-key-of-at-least-16",
        parent=os.getpid(),
        launch=Launch(context=request.context, slots=request.slots, micro_batch=request.micro_batch),
    )
    await process.start(msgspec.json.encode(options).decode())
    try:
        while not any("hearth worker: serving" in line for line in process.tail):
            assert not process.ended, "\n".join(process.tail)
            await asyncio.sleep(0.02)
        return read_load(list(process.tail))["CPU"]
    finally:
        await process.stop(2)
