"""What is wrong on this machine, and the command that mends it."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hearth import __version__
from hearth.errors import HearthError, SettingsError
from hearth.ops import machine
from hearth.ops.daemon import ensure_daemon
from hearth.ops.local import ask
from hearth.ops.record import read_record, version_note
from hearth.paths import Paths
from hearth.runtime.builds.build import GO_BACK, active_build
from hearth.runtime.builds.trial import look
from hearth.runtime.engines import Engines
from hearth.runtime.kv.store import KvStore
from hearth.settings import ENVIRONMENT, KvSettings, Settings, load_settings
from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.store import Store

LEAST_MEMORY = 1 << 30
LEAST_QUOTA = 64 << 20
ANSWER_LIMIT_S = 120.0
MOST_USERS = 3
"""Other programs on a card that are named."""
_ENGINE_PROBE = "import xllamacpp; from importlib.metadata import version; print(version('xllamacpp'))"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``fix`` is the command or step that mends it, when it is not ``ok``."""

    name: str
    ok: bool
    text: str
    fix: str = ""


async def examine(paths: Paths, environment: Mapping[str, str], tell: Callable[[str], None]) -> AsyncIterator[Check]:
    """Look at everything, in the order in which one thing needs the other. Starts a daemon when none runs.

    ``tell`` gets short lines about what is waited for.
    """
    settings = Settings()
    try:
        settings = load_settings(paths.config_file, environment)
        origins = ", ".join(f"{name} from {origin}" for name, origin in sorted(settings.origin.items()))
        yield Check("settings", True, origins or "all defaults")
    except SettingsError as error:
        yield Check("settings", False, error.what, f"{error.fix}; known in the environment: {', '.join(ENVIRONMENT)}")
    yield check_python(sys.version_info[:3])
    yield await asyncio.to_thread(check_engine)
    found = await asyncio.to_thread(measure_machine)
    yield check_processor(machine.processor(), machine.missing_features(found.cpu_features))
    yield check_memory(found.ram_bytes, found.ram_free_bytes)
    yield check_graphics(found)
    yield check_home(paths)
    yield await check_build(paths)
    if other := await check_other_engines(paths, settings):
        yield other
    yield await asyncio.to_thread(check_kv, paths.kv, settings.kv)
    yield await asyncio.to_thread(check_git)
    daemon = await check_daemon(paths, settings, environment, tell)
    yield daemon
    if daemon.ok and not settings.gateway.url:
        yield await check_answer(paths.socket, settings.model)
        if trouble := await check_saving(paths):
            yield trouble


def check_python(version: tuple[int, int, int]) -> Check:
    """3.11 to 3.13."""
    text = f"{'.'.join(map(str, version))} at {sys.executable}, hearth {__version__}"
    return Check("python", (3, 11) <= version[:2] <= (3, 13), text, "install hearth with Python 3.11, 3.12 or 3.13")


def check_engine(python: str = sys.executable) -> Check:
    """Whether llama.cpp loads, in a process of its own: a wrong build dies of a signal, not of an exception."""
    fix = f"run: {python} -m pip install --force-reinstall hearth-code"
    try:
        probe = subprocess.run(
            [python, "-P", "-c", _ENGINE_PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("engine", False, f"the import did not end: {error}", fix)
    if probe.returncode < 0:
        return Check("engine", False, f"the import died of signal {-probe.returncode}: not built for this CPU", fix)
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or ["no word"])[-1]
        return Check("engine", False, f"llama.cpp does not load: {last}", fix)
    return Check("engine", True, f"llama.cpp through xllamacpp {probe.stdout.strip()}")


def check_processor(name: str, missing: list[str]) -> Check:
    """Whether it has the instructions that the engine's wheel is built with."""
    if missing:
        fix = "run: hearth engine install --native (the wheel in the package needs these instructions)"
        return Check("processor", False, f"{name}; without {', '.join(missing)}", fix)
    return Check("processor", True, name)


def check_memory(total: int, free: int) -> Check:
    """At least 1 GiB free, for the pilot and the daemon together. Unknown passes."""
    text = f"{total / 2**30:.1f} GiB" + (f", {free / 2**30:.1f} GiB free" if free else "")
    return Check("memory", not free or free >= LEAST_MEMORY, text, "close other programs, or take a smaller model")


def check_graphics(found: Machine) -> Check:
    """The cards with their memory, who else holds much of it, and what could not be found out. Never fails."""
    cards = [
        f"{gpu.name}, {gpu.total_bytes / 2**30:.1f} GiB, {gpu.free_bytes / 2**30:.1f} GiB free"
        + "".join(f", held by {user.name} ({user.pid})" for user in gpu.users[:MOST_USERS])
        for gpu in found.gpus
    ]
    return Check("graphics", True, "; ".join((*cards, *found.notes)) or "none found: the CPU runs the model")


def check_home(paths: Paths) -> Check:
    """Whether our folders are there and can be written: a file is really written in each."""
    try:
        paths.ensure()
        for folder in (paths.config, paths.data, paths.runtime, paths.logs):
            trial = folder / ".hearth-trial"
            try:
                trial.write_bytes(b"1")
            finally:
                trial.unlink(missing_ok=True)
    except HearthError as error:
        return Check("home", False, error.what, error.fix)
    except OSError as error:
        return Check("home", False, f"cannot write: {error}", "set HEARTH_HOME to a folder that you can write")
    return Check("home", True, f"{paths.data} is writable, {shutil.disk_usage(paths.data).free / 1e9:.1f} GB free")


async def check_build(paths: Paths) -> Check:
    """Whether the build of the engine that is in use loads, and sees the cards that it is for."""
    build = active_build(paths)
    try:
        build.check()
        if build.folder is None:
            return Check("build", True, "the one in the package; hearth engine install looks for a faster one")
        seen = await look(build, paths.logs / "engine-install.log")
    except HearthError as error:
        return Check("build", False, f"{build.name}: {error.what}", GO_BACK)
    devices = ", ".join(f"{device.name} {device.description}" for device in seen.devices)
    return Check("build", True, f"{build.name}: {devices}")


async def check_other_engines(paths: Paths, settings: Settings) -> Check | None:
    """Whether the owner's own engines answer; None when the settings name none."""
    names = [*(["llama-server"] if settings.engine.kind == "llama_server" else []), *settings.engines]
    if not names:
        return None
    # An engine whose models the settings name is asked for them here too: whether it answers is the question.
    asked = {name: msgspec.structs.replace(each, models=()) for name, each in settings.engines.items()}
    settings = msgspec.structs.replace(settings, engines=asked)
    trouble = await Engines(settings, paths, Store(paths.models)).trouble()
    if not trouble:
        return Check("other engines", True, ", ".join(names))
    text = "; ".join(f"{name}: {what}" for name, what in trouble.items())
    return Check("other engines", False, text, f"start what is missing, or mend {paths.config_file}")


def check_kv(folder: Path, wanted: KvSettings) -> Check:
    """Whether conversations' state can be saved, and what of it is damaged. Nothing is removed."""
    if not wanted.enabled:
        return Check("kv", True, "turned off: every prompt is read anew after a restart")
    name = shlex.quote(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        trial = folder / ".hearth-trial"
        trial.write_bytes(b"1")
        trial.unlink()
        store = KvStore(folder, int(wanted.quota_gib * (1 << 30)))
        damaged = store.read()
        count = len(store.entries())
        used, quota = sum(entry.bytes for entry in store.entries()), store.quota()
    except OSError as error:
        return Check("kv", False, f"cannot write {folder}: {error.strerror}", f"run: chmod -R u+rwX {name}")
    text = f"{count} saved state{'' if count == 1 else 's'}, {used / 2**30:.2f} of {quota / 2**30:.2f} GiB"
    if damaged:
        return Check("kv", False, f"{text}; {len(damaged)} damaged", f"run: rm {shlex.quote(str(damaged[0]))}")
    if quota < LEAST_QUOTA and wanted.quota_gib:
        return Check("kv", False, f"{text}: few conversations have room", "set kv.quota_gib higher, or to 0")
    if quota < LEAST_QUOTA:
        return Check("kv", False, f"{text}: the disk is nearly full", f"make room on the disk of {name}")
    return Check("kv", True, text)


async def check_saving(paths: Paths) -> Check | None:
    """What the running engines say of their last save; None when it was well, or nobody can be asked."""
    try:
        answer = await ask(paths.socket, "GET", "/hearth/status")
    except (OSError, TimeoutError):
        return None
    engines = answer.data["engines"] if answer.status == 200 else []
    for model, kv in ((each["model"], each["kv"] or {}) for each in engines):
        if kv.get("trouble"):
            text = f"the state of {model} cannot be saved: {kv['trouble']}"
            return Check(
                "saving", False, text, f"make room in {shlex.quote(str(paths.kv))}, or turn it off: HEARTH_KV=0"
            )
    return None


def check_git() -> Check:
    """Whether git is there: undo and diffs need it."""
    fix = "install git with the system's package manager"
    program = shutil.which("git")
    if program is None:
        return Check("git", False, "not found on PATH: undo and diffs need it", fix)
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("git", False, str(error), fix)
    return Check("git", shown.returncode == 0, shown.stdout.strip() or shown.stderr.strip(), fix)


async def check_daemon(
    paths: Paths, settings: Settings, environment: Mapping[str, str], tell: Callable[[str], None]
) -> Check:
    """Whether one answers; one is started when none does."""
    if settings.gateway.url:
        return Check("daemon", True, f"not used: {settings.gateway.url} answers instead")
    was_there = read_record(paths) is not None
    try:
        await ensure_daemon(paths, settings, environment, tell)
    except HearthError as error:
        return Check("daemon", False, error.what, error.fix)
    record = read_record(paths)
    if record is None:
        return Check("daemon", False, "it answered and is gone again", "run: hearth logs")
    if note := version_note(record.version):
        return Check("daemon", False, note, "run: hearth stop")
    address = record.address or f"the unix socket alone: {record.no_address_because}"
    return Check("daemon", True, f"{'runs' if was_there else 'started now'}, pid {record.pid}, at {address}")


async def check_answer(socket: Path, model: str) -> Check:
    """Whether the model really answers: eight tokens at most, through the daemon and a real engine."""
    question = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
    began = time.monotonic()
    try:
        answer = await ask(socket, "POST", "/v1/chat/completions", question, timeout_s=ANSWER_LIMIT_S)
    except TimeoutError:
        return Check(model, False, f"no answer within {ANSWER_LIMIT_S:.0f} s", f"run: hearth logs {shlex.quote(model)}")
    except OSError as error:
        return Check(model, False, f"the daemon broke off: {error}", "run: hearth logs")
    data = answer.data if isinstance(answer.data, dict) else {}
    if answer.status != 200:
        said = data.get("error") or {}
        return Check(model, False, str(said.get("message") or answer.status), said.get("fix") or "run: hearth logs")
    tokens = (data.get("usage") or {}).get("completion_tokens", 0)
    text = f"answered {tokens} tokens in {time.monotonic() - began:.1f} s, loading included"
    return Check(model, tokens > 0, text, f"run: hearth logs {shlex.quote(model)}")
