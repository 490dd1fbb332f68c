"""Installs a build: fetched or built, tried, measured, and only then there."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hearth.errors import EngineFailed, HearthError
from hearth.paths import Paths
from hearth.runtime.builds.build import LIBRARY, SITE, Build, Gain, Manifest, needed_version
from hearth.runtime.builds.choice import Choice
from hearth.runtime.builds.gain import measure_gain
from hearth.runtime.builds.shelf import BuildShelf
from hearth.runtime.builds.trial import ANSWER_TOKENS, PROMPT_TOKENS, Seen, look, serving
from hearth.runtime.builds.wheels import Installed, Pip, Step, Tell, without_keys
from hearth.runtime.builds.yardstick import write_yardstick
from hearth.weights.durable import explain
from hearth.weights.store import PILOT_FILE

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be installed. ``index_url`` is where the wheel comes from, or for a build from source the tools that
    build it; ``source`` where the sources are, None to fetch them. ``measured`` says whether the gain is measured, on
    the file ``model`` or on the yardstick, with so many tokens of ``prompt`` and ``answer``. ``jobs`` are compilers at
    a time."""

    choice: Choice
    index_url: str = ""
    source: Path | None = None
    measured: bool = True
    model: Path | None = None
    jobs: int = 1
    prompt: int = PROMPT_TOKENS
    answer: int = ANSWER_TOKENS

    @property
    def name(self) -> str:
        """What the build will be called."""
        return self.choice.name(needed_version())


async def install(order: Order, paths: Paths, tell: Tell) -> Build:
    """Install it; it is not yet in use. Raises HearthError when that is not possible, and then, as when it is
    cancelled or killed, nothing is changed."""
    shelf = BuildShelf(paths)
    log_file = paths.logs / "engine-install.log"
    try:
        with shelf.making() as folder:
            shelf.refuse_second(order.name)
            pip = Pip(folder, log_file, os.environ)
            got = await _bring(pip, order, tell)
            manifest = _manifest(order, got)
            draft = Build(order.name, got.version, folder, manifest)
            tell(Step("trying it: its library, its devices, an answer of the pilot"))
            seen = await try_build(draft, paths, log_file)
            manifest = msgspec.structs.replace(
                manifest, devices=tuple(f"{each.name} {each.description}".strip() for each in seen.devices)
            )
            if order.measured:
                gain = await _measure(draft, order, paths, log_file, tell)
                manifest = msgspec.structs.replace(manifest, gain=gain)
            _clear(folder)
            return shelf.add(folder, manifest)
    except HearthError as error:
        raise type(error)(f"{order.name} was not installed: {error.what}", error.fix) from error


async def try_build(build: Build, paths: Paths, log_file: Path) -> Seen:
    """Load its library and have the pilot answer. Raises HearthError."""
    seen = await look(build, log_file)
    async with serving(build, PILOT_FILE, paths.runtime, log_file) as served:
        await served.greet()
    return seen


def check_files(build: Build) -> None:
    """Compare its files with the hashes that came with them. Raises EngineFailed naming one that is not as it was; the
    bundled build has no list of ours."""
    if build.folder is None:
        return
    site = build.folder / SITE
    found = next(iter(importlib.metadata.distributions(name=LIBRARY, path=[str(site)])), None)
    fix = f"run: hearth engine use bundled, hearth engine remove {build.name}, and install it anew"
    if found is None or found.files is None:
        raise EngineFailed(f"the engine build {build.name} has no list of its files", fix)
    for file in found.files:
        path = Path(str(found.locate_file(file)))
        try:
            whole = file.hash is None or _digest(path, file.hash.mode) == file.hash.value
        except OSError:
            whole = False
        if not whole:
            raise EngineFailed(f"the engine build {build.name}: {file} is gone or not as it was installed", fix)


async def _bring(pip: Pip, order: Order, tell: Tell) -> Installed:
    if order.choice.kind == "native":
        tell(Step(f"building it here, {order.jobs} compilers at a time: some 10 minutes of one core"))
        return await pip.build(order.source, order.index_url, order.jobs, tell)
    url = order.index_url or order.choice.index_url
    tell(Step(f"fetching {LIBRARY} {needed_version()} from {without_keys(url)}"))
    return await pip.install(url, tell)


def _manifest(order: Order, got: Installed) -> Manifest:
    origin = without_keys(order.index_url or order.choice.index_url)
    if order.choice.kind == "native":
        origin = str(order.source or origin or "the package index")
    return Manifest(
        name=order.name,
        kind=order.choice.kind,
        version=got.version,
        device=order.choice.device,
        origin=origin,
        wheel=got.wheel,
        sha256=got.sha256,
        installed_at=time.time(),
    )


async def _measure(build: Build, order: Order, paths: Paths, log_file: Path, tell: Tell) -> Gain | None:
    assert build.folder is not None, "a new build has a folder"
    tell(Step("measuring it against the build in the package"))
    model = order.model
    if model is None:
        model = build.folder / "yardstick.gguf"
        try:
            write_yardstick(model)
        except OSError as error:
            raise explain(f"cannot write {model}", error, build.folder) from error
    return await measure_gain(build, model, paths.runtime, log_file, tell, prompt=order.prompt, answer=order.answer)


def _clear(folder: Path) -> None:
    """Leave nothing but the library."""
    for left in folder.iterdir():
        if left.name == SITE:
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _digest(path: Path, algorithm: str) -> str:
    """As RECORD files write it: url-safe base64 without padding (PEP 376)."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
