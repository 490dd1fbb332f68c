"""Asks the engine itself how much memory a model would take, without loading it, and remembers the answer.

A child process lays the model out without memory (``no_alloc``) and prints a table; then it is ended, for it would
only crash. That is bound to one build of llama.cpp: whatever is not as it is known to be is an EngineFailed, and
callers fall back to the closed form of ``hearth.weights.fit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from hearth.errors import EngineFailed, HearthError, ModelUnavailable
from hearth.paths import Paths
from hearth.runtime.builds.build import active_build
from hearth.runtime.llama.loadlog import load_error
from hearth.runtime.process import Process, describe_exit, is_alive
from hearth.weights.fit import Breakdown, Part, estimate, keeps_twice
from hearth.weights.fit_kv import Request
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape

LIMIT_S = 60
"""How long a measurement may take. It is 20 ms and the start of Python; a header on a slow disk may take more."""

MIB = 1 << 20
_OUTPUT_FIRST = ("gemma4",)
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")
_ROW = re.compile(
    r"memory_breakdown_print: \|   - (?P<name>.+?) *\|"
    r"(?: +(?P<total>\d+) = +(?P<free>\d+) \+ +\()?"
    r" *\d+ = +(?P<model>\d+) \+ +(?P<context>\d+) \+ +(?P<compute>\d+)"
)
_HEAD = "memory breakdown [MiB]"
_BUFFER = re.compile(r"(?P<device>\S+) +(?P<what>model|KV|RS|compute) buffer size = +(?P<mib>[\d.]+) MiB")
_DONE = re.compile(r"common_fit_params: (successfully|failed to) fit")
_POLL_S = 0.02


class ProbeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be measured; the fields are those of ``Request``. ``socket`` is a path that is never served."""

    model: str
    socket: str
    context: int
    slots: int = 1
    kv_type: str = "f16"
    unified: bool = True
    micro_batch: int = 512
    draft: bool = False
    limit_s: int = LIMIT_S


class DeviceMemory(msgspec.Struct, frozen=True):
    """What one device would hold, in bytes, as the engine tells it: whole MiB, rounded down.

    ``name`` is the engine's (``CUDA0``, ``Host``); ``total`` and ``free`` are 0 for the host.
    """

    name: str
    model: int
    context: int
    compute: int
    total: int = 0
    free: int = 0


class Measured(msgspec.Struct, frozen=True):
    """The engine's answer: its devices in its order, and the host with all that lies in the RAM."""

    devices: tuple[DeviceMemory, ...]
    host: DeviceMemory


@dataclass(frozen=True, slots=True)
class Answer:
    """A breakdown and whose word it is. ``reason`` says why the engine was not asked or not believed, else empty."""

    breakdown: Breakdown
    measured: bool
    reason: str = ""


def read_table(lines: Sequence[str]) -> Measured:
    """The first table of memory in an engine's log. Later ones are what the engine would do to make it fit.

    Raises EngineFailed when there is none, or it has no row for the host.
    """
    start = next((index for index, line in enumerate(lines) if _HEAD in line), None)
    if start is None:
        raise EngineFailed("the engine printed no table of memory")
    devices: list[DeviceMemory] = []
    hosts: list[DeviceMemory] = []
    for line in lines[start + 1 :]:
        found = _ROW.search(line)
        if found is None:
            break
        sizes = {key: int(found[key] or 0) * MIB for key in ("model", "context", "compute", "total", "free")}
        row = DeviceMemory(found["name"].split(" (")[0], **sizes)
        (hosts if found["total"] is None else devices).append(row)
    if not any(row.name == "Host" for row in hosts):
        raise EngineFailed("the engine's table of memory has no row for the host")
    return _joined(devices, hosts)


def _joined(devices: list[DeviceMemory], others: list[DeviceMemory]) -> Measured:
    """Rows of further buffers go to the device whose name they begin with (``HTP0-REPACK``), else to the host."""
    host = DeviceMemory("Host", 0, 0, 0)
    for row in others:
        owner = next((index for index, device in enumerate(devices) if row.name.startswith(device.name)), None)
        if owner is None:
            host = _sum(host, row)
        else:
            devices[owner] = _sum(devices[owner], row)
    return Measured(tuple(devices), host)


def _sum(one: DeviceMemory, other: DeviceMemory) -> DeviceMemory:
    return msgspec.structs.replace(
        one,
        model=one.model + other.model,
        context=one.context + other.context,
        compute=one.compute + other.compute,
    )


def read_load(lines: Sequence[str]) -> dict[str, DeviceMemory]:
    """What a real load took, by device, from an engine's log: ``CPU``, ``CUDA0``, ...

    The sizes of buffers are told to a hundredth of a MiB. Of a file that is mapped (``CPU_Mapped``), the part that is
    there a second time, rearranged, is not counted: those pages may go.
    """
    sizes: dict[tuple[str, str], float] = {}
    for line in lines:
        if found := _BUFFER.search(line):
            key = (found["device"], found["what"])
            # The graph is laid out again when slots are made; caches of different layers add up.
            before = 0.0 if found["what"] == "compute" else sizes.get(key, 0.0)
            sizes[key] = before + float(found["mib"])
    mapped, twice = sizes.get(("CPU_Mapped", "model"), 0.0), sizes.get(("CPU_REPACK", "model"), 0.0)
    sizes["CPU_Mapped", "model"] = max(0.0, mapped - twice)
    loaded: dict[str, DeviceMemory] = {}
    for (device, what), mib in sizes.items():
        name = device.split("_")[0]
        row = loaded.get(name, DeviceMemory(name, 0, 0, 0))
        field = {"model": "model", "compute": "compute"}.get(what, "context")
        loaded[name] = msgspec.structs.replace(row, **{field: getattr(row, field) + int(mib * MIB)})
    return loaded


class Probe:
    """Measures models and keeps the answers in a folder; two of them may share it."""

    def __init__(self, paths: Paths, environment: Mapping[str, str] | None = None, limit_s: int = LIMIT_S) -> None:
        """Folders are made when first needed; ``environment`` is the child's, ours when None."""
        self._paths = paths
        self._folder = paths.cache / "probes"
        self._runtime = paths.runtime
        self._environment = dict(os.environ if environment is None else environment)
        self._limit_s = limit_s

    async def measure(
        self, model: Path, request: Request, more_parts: Sequence[Path] = (), devices: str = ""
    ) -> Measured:
        """The engine's own answer for a file. ``devices`` names the cards, for the cache.

        Raises ModelUnavailable when a file is not there, CorruptModel when the engine does not take it, EngineFailed
        when the engine does not answer as it is known to.
        """
        kept = self._folder / f"{self._key((model, *more_parts), request, devices)}.json"
        if (known := _read(kept)) is not None:
            return known
        measured = await self._ask(model, request)
        _write(kept, msgspec.json.encode(measured))
        return measured

    async def answer(
        self,
        model: Path,
        shape: ModelShape,
        file_bytes: int,
        request: Request,
        machine: Machine,
        more_parts: Sequence[Path] = (),
    ) -> Answer:
        """The engine's answer with all layers on the cards, where it gives one; else the closed form and why. Never
        raises HearthError.

        What is outside the engine's account (a card's own context, kept prompts) is that of the closed form.
        """
        closed = estimate(shape, file_bytes, request, machine)
        devices = " ".join(gpu.name for gpu in machine.gpus)
        try:
            measured = await self.measure(model, request, more_parts, devices)
        except HearthError as error:
            return Answer(closed, False, error.what)
        if len(measured.devices) != len(closed.gpus):
            here, there = len(measured.devices), len(closed.gpus)
            return Answer(closed, False, f"the engine sees {here} cards, the machine has {there}")
        return Answer(_with_measured(closed, _mapped_once(measured, shape)), True)

    async def _ask(self, model: Path, request: Request) -> Measured:
        for folder in (self._folder, self._runtime):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._folder.glob("engine-*.log"):
            maker = left.name.split("-")[1]
            if maker.isdigit() and not is_alive(int(maker)):
                left.unlink(missing_ok=True)
        # Named as an engine's: when we are killed, the next daemon sweeps the socket away.
        mark = f"engine-{os.getpid()}-{secrets.token_hex(4)}"
        log, socket = self._folder / f"{mark}.log", self._runtime / f"{mark}.sock"
        options = ProbeOptions(
            model=str(model),
            socket=str(socket),
            context=request.context,
            slots=request.slots,
            kv_type=request.kv_type,
            unified=request.unified,
            micro_batch=request.micro_batch,
            draft=request.draft,
            limit_s=self._limit_s,
        )
        try:
            exit_text = await self._run(options, log)
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        finally:
            for left in (log, socket):
                left.unlink(missing_ok=True)
        try:
            return read_table(lines)
        except EngineFailed as error:
            raise _cause(lines, model, exit_text, error) from error

    async def _run(self, options: ProbeOptions, log: Path) -> str:
        """Run the child; how it ended, in words. Raises EngineFailed when it does not end in time."""
        environment = active_build(self._paths).environment(self._environment)
        process = Process(
            [sys.executable, "-P", "-m", "hearth.runtime.llama.probe_worker"],
            environment={**environment, "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"},
            log_file=log,
        )
        await process.start(msgspec.json.encode(options).decode())
        try:
            async with asyncio.timeout(self._limit_s):
                gone = asyncio.ensure_future(process.wait())
                while not gone.done() and not any(_DONE.search(line) for line in process.tail):
                    await asyncio.wait([gone], timeout=_POLL_S)
        except TimeoutError as error:
            raise EngineFailed(f"the engine did not measure the model within {self._limit_s} s") from error
        finally:
            await asyncio.shield(process.stop(0))
        return describe_exit(await process.wait())

    def _key(self, files: Sequence[Path], request: Request, devices: str) -> str:
        """What an answer depends on: the files' identity, the settings, the cards, the engine's build."""
        identities = []
        for file in files:
            try:
                status = file.stat()
            except OSError as error:
                raise ModelUnavailable(
                    f"{file} cannot be opened: {error.strerror}", "run: hearth models list"
                ) from error
            identities.append((str(file.resolve()), status.st_size, status.st_mtime_ns))
        asked = replace(request, prompt_cache_bytes=0, projector_bytes=0)
        visible = [self._environment.get(name) for name in _VISIBLE]
        build = active_build(self._paths).identity
        return hashlib.sha256(repr((identities, asked, devices, visible, build)).encode()).hexdigest()[:32]


def _cause(lines: Sequence[str], model: Path, exit_text: str, missing: EngineFailed) -> HearthError:
    """Why there is no table: what is wrong with the file, or that this engine speaks otherwise."""
    if any("error loading model" in line or "hearth probe:" in line or "Error: " in line for line in lines):
        return load_error(lines, model.stem, exit_text, "the engine's own words: none kept")
    return EngineFailed(f"{missing.what} ({exit_text})")


def _mapped_once(measured: Measured, shape: ModelShape) -> Measured:
    """Without the second embedding of an architecture that asks for it first as the output: a file that is mapped has
    it once."""
    if measured.devices or not shape.tied or shape.architecture not in _OUTPUT_FIRST or keeps_twice(shape):
        return measured
    host = msgspec.structs.replace(measured.host, model=measured.host.model - shape.embedding_bytes)
    return msgspec.structs.replace(measured, host=host)


def _with_measured(closed: Breakdown, measured: Measured) -> Breakdown:
    parts = [_part(part, row) for part, row in zip(closed.gpus, measured.devices, strict=True)]
    return replace(closed, gpus=tuple(parts), host=_part(closed.host, measured.host))


def _part(closed: Part, row: DeviceMemory) -> Part:
    # The engine tells caches and states in one sum.
    states = min(closed.recurrent, row.context)
    return replace(closed, weights=row.model, kv=row.context - states, recurrent=states, compute=row.compute)


def _read(file: Path) -> Measured | None:
    """A kept answer; None when there is none that can be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Measured)
    except (OSError, msgspec.DecodeError):
        return None


def _write(file: Path, data: bytes) -> None:
    """Keep an answer. When that is not possible it is measured again next time."""
    partial = file.with_suffix(f".{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        partial.write_bytes(data)
        partial.replace(file)
