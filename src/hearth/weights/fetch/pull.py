"""Fetches the files of a plan and hands them over, whole and verified, or not at all.

Everything arrives in ``<models>/.incoming/<id>/``, under a lock; a pull that was stopped in any way goes on there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hearth.errors import ModelUnavailable, StateError
from hearth.weights.fetch.claim import claimed
from hearth.weights.fetch.partial import Partial, bytes_there
from hearth.weights.fetch.plan import Digest, Plan, RemoteFile
from hearth.weights.fetch.progress import Notice, Progress, Report, Speed, eta_s
from hearth.weights.fetch.ranged import Changed
from hearth.weights.fetch.transfer import Transfer, Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin, StoredFile

SPARE_BYTES = 64 << 20
"""What must stay free on the disk beside the model."""

HASH_READ = 1 << 20
_ATTEMPTS = 2


class Publish(Protocol):
    """Takes over a folder of whole, verified files: ``Store.publish``.

    An implementation MUST NOT leave a name that points to half a model, whenever it is killed.
    """

    def __call__(self, name: str, origin: Origin, incoming: Path, files: tuple[StoredFile, ...]) -> object:
        """The model's manifest."""
        ...


def incoming_folder(models: Path, plan: Plan) -> Path:
    """Where the files of this plan arrive. The lock is the file beside it, with ``.lock`` at the end of the name."""
    return models / ".incoming" / plan.incoming_id


def lock_of(incoming: Path) -> Path:
    """The lock that is held while files arrive in this folder (``claim.claimed``)."""
    return incoming.with_name(f"{incoming.name}.lock")


class Puller:
    """Fetches models into one home."""

    def __init__(
        self,
        models: Path,
        publish: Publish,
        access: Access,
        report: Report,
        *,
        tuning: Tuning | None = None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """``models`` is the folder of models, made when it is not there; ``report`` is told how it goes."""
        self._models = models
        self._publish = publish
        self._access = access
        self._report = report
        self._tuning = tuning or Tuning()
        self._free_bytes = free_bytes

    def pull(self, plan: Plan, *, wait: bool = True, have: Callable[[], object | None] = lambda: None) -> object:
        """Fetch what is missing, verify all of it, publish it: what ``publish`` returned.

        When another process fetches the same files, it is waited for; with ``wait`` False that is a StateError.
        ``have`` is asked before anything is fetched: what it returns, when it is not None, was published by the other
        meanwhile, and is the answer.

        Raises Denied when offline; StateError for a full or unwritable disk; ModelUnavailable when the hub refuses,
        the files do not arrive, or are not what they should be. What arrived stays for the next pull, unless its hash
        was wrong. A KeyboardInterrupt passes through, and leaves it as well.
        """
        self._access.check(plan.name)
        incoming = incoming_folder(self._models, plan)
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"cannot create {incoming.parent}: {error.strerror}", "set HEARTH_HOME") from error
        with claimed(lock_of(incoming), wait, lambda text: self._report(Notice(text))):
            if (found := have()) is not None:
                return found
            self._prepare(incoming, plan)
            files = self._fetch_all(incoming, plan)
            return self._publish(plan.name, plan.origin, incoming, files)

    def _prepare(self, incoming: Path, plan: Plan) -> None:
        """The folder, with nothing in it but what this plan has fetched; and room for the rest."""
        names = {name for file in plan.files for name in (file.name, f"{file.name}.part", f"{file.name}.part.json")}
        try:
            incoming.mkdir(exist_ok=True, mode=0o700)
            for path in incoming.iterdir():
                if path.name not in names:
                    path.unlink()
            free = self._free_bytes(incoming)
        except OSError as error:
            raise StateError(f"cannot use {incoming}: {error.strerror}", f"remove {incoming}") from error
        there = sum(bytes_there(incoming, file) for file in plan.files)
        missing = plan.size_bytes - there
        if missing + SPARE_BYTES > free:
            raise StateError(
                f"{plan.name} needs {missing / 1e9:.2f} GB more in {self._models}, and {free / 1e9:.2f} GB are free",
                "make room there, or set HEARTH_HOME to a larger disk",
            )
        if there:
            self._report(Notice(f"going on at {there / 1e9:.2f} of {plan.size_bytes / 1e9:.2f} GB"))

    def _fetch_all(self, incoming: Path, plan: Plan) -> tuple[StoredFile, ...]:
        speed, found, before = Speed(), [], 0
        later = [bytes_there(incoming, file) for file in plan.files]
        for number, file in enumerate(plan.files, 1):
            later[number - 1] = 0

            def tick(done: int, file: RemoteFile = file, number: int = number, base: int = before) -> None:
                # What is there of later files already counts as well, so that the bar never goes back.
                done += base + sum(later)
                rate = speed.note(time.monotonic(), done)
                left = plan.size_bytes - done
                count = len(plan.files)
                self._report(Progress(file.name, number, count, done, plan.size_bytes, rate, eta_s(left, rate)))

            sha256 = self._fetch(incoming, file, tick)
            found.append(StoredFile(file.name, file.size_bytes, sha256, file.role))
            before += file.size_bytes
        return tuple(found)

    def _fetch(self, incoming: Path, file: RemoteFile, tick: Callable[[int], None]) -> str:
        """The sha256 of the file, which then is in the folder under its name."""
        if (incoming / file.name).is_file():
            # It got its name after it was verified and synced. For a file of git, its sha256 is found again.
            if (incoming / file.name).stat().st_size == file.size_bytes and file.sha256:
                return file.sha256
            if (digest := _digest_of(incoming / file.name, file)).matches:
                return digest.sha256
            (incoming / file.name).unlink()
        for attempt in range(1, _ATTEMPTS + 1):
            partial = Partial(incoming, file)
            try:
                digest = Transfer(file, partial, self._access, self._tuning, tick).run()
            except Changed as error:
                partial.forget()
                why = str(error)
            except BaseException:
                partial.close()
                raise
            else:
                if digest.matches:
                    partial.finish()
                    return digest.sha256
                partial.forget()
                why = f"{file.name} arrived damaged: its hash is {digest.sha256[:16]}…"
            if attempt < _ATTEMPTS:
                self._report(Notice(f"{why}; it was deleted, and is fetched again from the beginning"))
        raise ModelUnavailable(
            f"{why}, again; it was deleted", "pull again later, or from another network; nothing of it is used"
        )


def _digest_of(path: Path, file: RemoteFile) -> Digest:
    digest = Digest(file)
    with path.open("rb") as data:
        while block := data.read(HASH_READ):
            digest.update(block)
    return digest
