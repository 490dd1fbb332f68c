"""The engine in the package: llama.cpp in a child process of ours."""

from __future__ import annotations

import importlib.metadata
import os
import sys

import msgspec

from hearth.runtime.llama_process import LlamaProcess
from hearth.runtime.process import Process
from hearth.runtime.worker_options import WorkerOptions


class EmbeddedEngine(LlamaProcess):
    """Runs ``hearth.runtime.worker``. It is an ``Engine``: see there for the contract."""

    async def _prepare(self) -> tuple[Process, str]:
        options = WorkerOptions(
            model=str(self._card.path),
            name=self._card.name,
            socket=str(self._endpoint.socket),
            api_key=self._endpoint.api_key,
            parent=os.getpid(),
            launch=self._launch,
            slot_folder=self._slot_folder,
        )
        process = Process(
            # -P: modules of the folder that the daemon was started in must not shadow ours.
            [sys.executable, "-P", "-m", "hearth.runtime.worker"],
            environment={**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"},
            log_file=self._log_file,
        )
        return process, msgspec.json.encode(options).decode()

    def _build(self) -> str:
        return importlib.metadata.version("xllamacpp")
