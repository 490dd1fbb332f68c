"""Pulls from the hub of the tests, and where they go to."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.plan import Plan
from hearth.weights.fetch.progress import Progress
from hearth.weights.fetch.pull import Puller
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin, StoredFile
from hub_server import HubServer

REPO = "local/model"
QUICK = Tuning(piece_bytes=64 << 10, sync_bytes=64 << 10, backoff_s=0.0, tick_s=0.002)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes of a file that cannot be mistaken for another's."""
    return random.Random(seed).randbytes(size)


class Shelf:
    """Takes what is published, as a store does, and looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, dict[str, bytes]] = {}
        self.files: tuple[StoredFile, ...] = ()
        self.origin: Origin | None = None

    def publish(self, name: str, origin: Origin, incoming: Path, files: tuple[StoredFile, ...]) -> str:
        """A ``weights.fetch.pull`` publisher: only what was promised may arrive."""
        assert sorted(path.name for path in incoming.iterdir()) == sorted(file.name for file in files)
        self.models[name] = {file.name: (incoming / file.name).read_bytes() for file in files}
        for file in files:
            data = self.models[name][file.name]
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
        self.folder.mkdir(exist_ok=True)
        incoming.rename(self.folder / str(len(list(self.folder.iterdir()))))
        self.files, self.origin = files, origin
        return name


def puller(tmp_path: Path, shelf: Shelf, access: Access, told: list[object] | None = None, **more: object) -> Puller:
    """One that is quick to try again, and publishes on the shelf."""
    heard = told if told is not None else []
    options = {"tuning": QUICK, **more}
    return Puller(tmp_path / "models", shelf.publish, access, heard.append, **options)  # type: ignore[arg-type]  # a mix


def plan_of(server: HubServer, name: str = "m", **wanted: object) -> Plan:
    """What is to be fetched of the repository."""
    return Hub(Access(server.endpoint), lambda _: None).plan(name, REPO, **wanted)  # type: ignore[arg-type]  # a mix


def interrupt(event: object) -> None:
    """Who is told, and breaks off after the first bytes."""
    if isinstance(event, Progress) and event.done_bytes:
        raise KeyboardInterrupt
