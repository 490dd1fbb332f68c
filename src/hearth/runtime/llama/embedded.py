"""The engine in the package, or the build of it that is in use: llama.cpp in a child process of ours."""

from __future__ import annotations

import os
import sys

import msgspec

from hearth.errors import HearthError
from hearth.paths import Paths
from hearth.runtime.builds.build import active_build
from hearth.runtime.launch import Launch
from hearth.runtime.llama.process import LlamaProcess
from hearth.runtime.llama.worker_options import WorkerOptions
from hearth.runtime.process import Process
from hearth.weights.card import ModelCard


class EmbeddedEngine(LlamaProcess):
    """Runs ``hearth.runtime.llama.worker``. It is an ``Engine``: see there for the contract."""

    def __init__(
        self, card: ModelCard, launch: Launch, paths: Paths, *, saves: bool = True, load_timeout_s: float = 600.0
    ) -> None:
        """As ``LlamaProcess``; the build is the one that is in use now."""
        super().__init__(card, launch, paths, saves=saves, load_timeout_s=load_timeout_s)
        self._used = active_build(paths)

    async def _prepare(self) -> tuple[Process, str]:
        self._used.check()
        options = WorkerOptions(
            model=str(self._card.path),
            name=self._card.name,
            socket=str(self._endpoint.socket),
            api_key=self._endpoint.api_key,
            parent=os.getpid(),
            launch=self._launch,
            slot_folder=self._slot_folder,
            device=self._used.device,
        )
        process = Process(
            # -P: modules of the folder that the daemon was started in must not shadow ours.
            [sys.executable, "-P", "-m", "hearth.runtime.llama.worker"],
            environment={**self._used.environment(os.environ), "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"},
            log_file=self._log_file,
        )
        return process, msgspec.json.encode(options).decode()

    def _build(self) -> str:
        return self._used.identity

    def _blame(self, error: HearthError) -> HearthError:
        return self._used.blame(error)
