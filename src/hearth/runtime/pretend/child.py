"""The pretending engine in a process of its own, driven as llama.cpp is: what it fails at is a real failure."""

from __future__ import annotations

import os
import sys

import msgspec

from hearth.paths import Paths
from hearth.runtime.launch import Launch
from hearth.runtime.llama.process import LlamaProcess
from hearth.runtime.pretend.script import Orders, Script
from hearth.runtime.process import Process
from hearth.weights.card import ModelCard


class PretendProcess(LlamaProcess):
    """Runs ``python -m hearth.runtime.pretend``. It is an ``Engine``: see there for the contract. It saves no state."""

    def __init__(
        self, card: ModelCard, launch: Launch, paths: Paths, script: Script, *, load_timeout_s: float = 600.0
    ) -> None:
        """Nothing is started yet."""
        super().__init__(card, launch, paths, saves=False, load_timeout_s=load_timeout_s)
        self._script = script

    async def _prepare(self) -> tuple[Process, str]:
        sizes = ["--context", str(self._launch.context), "--slots", str(self._launch.slots)]
        place = ["--socket", str(self.endpoint.socket)]
        process = Process(
            [sys.executable, "-P", "-m", "hearth.runtime.pretend", "--orders", *place, *sizes],
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
            log_file=self._log_file,
        )
        return process, msgspec.json.encode(Orders(self.endpoint.api_key, self._script)).decode()

    def _build(self) -> str:
        return "pretend"
