"""Which models there are: the pilot in the package, those that were fetched or imported, and every loose GGUF in the
models folder."""

from __future__ import annotations

import shlex
import stat
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import ModelUnavailable, StateError, UsageError
from hearth.weights.card import (
    ModelCard,
    card_of_file,
    card_of_manifest,
    check_files,
    is_file_name,
    known_names,
    measure,
)
from hearth.weights.durable import explain
from hearth.weights.manifest import PART, Manifest, Origin, StoredFile, check_model_name, with_model_role
from hearth.weights.shelf import KEEP_INCOMING_S, Shelf
from hearth.weights.usage import Usage, UsageBook

__all__ = ["PILOT_FILE", "PILOT_NAME", "ModelCard", "Removed", "Store", "is_file_name"]

PILOT_FILE = Path(__file__).with_name("pilot.gguf")
"""The tiny model that ships in the package."""

PILOT_NAME = "pilot"


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did. ``freed_bytes`` came free on the disk; ``kept_bytes`` of the model stay, because another
    program's store or another model has them too."""

    name: str
    freed_bytes: int
    kept_bytes: int


class Store:
    """The models of one home. It reads the folders anew at each call: a file that arrives is there at once."""

    def __init__(self, models: Path, pilot: Path = PILOT_FILE) -> None:
        """``models`` is the folder of models (may not exist yet); ``pilot`` the packaged file."""
        self._models = models
        self._pilot = pilot
        self._shelf = Shelf(models)
        self._usage = UsageBook(models)

    @property
    def incoming(self) -> Path:
        """Where a download gathers its files, in a folder of its own, before ``publish``."""
        return self._shelf.incoming

    def cards(self, chosen: str = "") -> list[ModelCard]:
        """Every model that can be named: the pilot first, then by name. A loose file that is not there has no card; a
        model with a manifest whose file is gone has one that says so.

        ``chosen`` is the owner's default model, which may be a file elsewhere. A loose file has no card when it is
        called ``pilot.gguf`` (that name is the packaged model's) or as a model with a manifest, or is one of
        ``unnameable``; and of a split model all parts but the first have none.
        """
        cards = []
        if self._pilot.is_file():
            cards.append(card_of_file(PILOT_NAME, self._pilot, "the tiny model that ships with hearth"))
        if is_file_name(chosen) and measure(Path(chosen)) != (0, 0):
            cards.append(card_of_file(chosen, Path(chosen)))
        kept = [self._card(manifest) for manifest in self.manifests()]
        taken = {PILOT_NAME, *(card.name for card in kept)}
        sortable = [(f"{card.name}.gguf", card) for card in kept]
        sortable += [(card.path.name, card) for card in self._loose_cards() if card.name not in taken]
        return [*cards, *(card for _, card in sorted(sortable, key=lambda pair: pair[0]))]

    def unnameable(self) -> list[Path]:
        """Models in the folder whose file names hold line breaks, control characters or bytes that are no text."""
        return [path for path in _gguf_files(self._models) if not path.stem.isprintable()]

    def damaged(self) -> list[StateError]:
        """What is wrong with manifests that cannot be read. Their models have no card; the others go on working."""
        return self._shelf.read()[1]

    def resolve(self, name: str) -> ModelCard:
        """The model called ``name``, or the file when ``name`` is the absolute path of a ``.gguf``.

        Raises ModelUnavailable naming the models that exist, or saying which file of this one is gone or was changed;
        StateError naming its manifest when that cannot be read. The files' content is not looked at.
        """
        if is_file_name(name):
            return card_of_file(name, Path(name))
        manifest = self.manifest(name)
        if manifest is not None:
            check_files(manifest, self._shelf.folder_of(manifest))
            return self._card(manifest)
        cards = self.cards()
        for card in cards:
            if card.name == name:
                return card
        if name == PILOT_NAME:
            raise ModelUnavailable(
                f"the pilot is missing from this installation: {self._pilot}",
                "run: pip install --force-reinstall hearth-code (in a checkout: make pilot)",
            )
        raise ModelUnavailable(f"there is no model {name[:200]!r}", known_names(cards, self._models))

    def manifests(self) -> list[Manifest]:
        """The models that were fetched or imported, by name; without those of ``damaged``."""
        return [manifest for manifest in self._shelf.read()[0] if manifest.name != PILOT_NAME]

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of this model; None for one without. Raises StateError when it cannot be read."""
        return None if name == PILOT_NAME else self._shelf.find(name)

    def folder_of(self, manifest: Manifest) -> Path:
        """Where those files of the model lie that have no path of their own."""
        return self._shelf.folder_of(manifest)

    def path_of(self, manifest: Manifest) -> Path:
        """The file that an engine is given, there or not."""
        return self._card(manifest).path

    def publish(self, name: str, origin: Origin, incoming: Path | None, files: Sequence[StoredFile]) -> Manifest:
        """Make the model be there: its whole files in ``incoming``, a folder below ``self.incoming``, move in, and an
        earlier model of this name goes. ``incoming`` is None when all files are references.

        What else lies in ``incoming`` is removed. Of a split model the first part is given the role of the model. The
        files are forced to the disk before the lock is taken. Raises UsageError for a name that cannot be, StateError
        when a file is not whole or the disk refuses. A crash at any point leaves the old model or the new.
        """
        check_name(name)
        try:
            folder = incoming.name if incoming else ""
            manifest = Manifest(name, origin, with_model_role(tuple(files)), folder, time.time())
        except ValueError as error:
            raise UsageError(f"model {name} cannot be published: {error}") from error
        return self._shelf.publish(manifest, incoming)

    def gathering(self) -> AbstractContextManager[Path]:
        """A new folder for ``publish`` that is removed at the end of the context unless it was published."""
        return self._shelf.gathering()

    def settle(self) -> list[str]:
        """Finish what a crash left half published; returns the names of those models. To be called before a model is
        fetched: it may be there. Raises StateError."""
        return self._shelf.settle()

    def remove(self, name: str, in_use: Collection[str] = ()) -> Removed:
        """Remove a model, and of its files what nobody else uses. ``in_use`` names the models that are loaded.

        A file that was taken in place stays in the other program's store; a loose file of the models folder is
        deleted. Raises StateError when it is loaded or the disk refuses, UsageError for the pilot and for a file
        named by its path, ModelUnavailable when there is no such model.
        """
        if name == PILOT_NAME:
            raise UsageError("the pilot ships with hearth and stays")
        if is_file_name(name):
            raise UsageError(f"{name} is a file of yours, not one that hearth keeps", "delete it yourself")
        try:
            card: ModelCard | None = self._removable(name)
        except StateError:
            card = None  # damaged: its manifest is removed unread
        paths = {str(path) for path in (card.path, *card.more_parts)} if card else set()
        if name in in_use or paths & set(in_use):
            raise StateError(f"model {name} is loaded", f"run: hearth models unload {shlex.quote(name)}")
        manifest = None if card is None else self.manifest(name)
        if card is None or manifest is not None:
            freed = self._shelf.take_off(name)
            total = manifest.size_bytes if manifest else freed
        else:
            freed, total = _delete((card.path, *card.more_parts)), card.size_bytes
        self._usage.forget(name)
        return Removed(name, freed, max(0, total - freed))

    def collect_garbage(self, keep_incoming_s: float = KEEP_INCOMING_S) -> int:
        """Remove what nobody needs: files of no model, remains of broken-off writes, and downloads that nobody took up
        again for so many seconds. Returns the bytes that came free. Raises StateError."""
        return self._shelf.collect_garbage(keep_incoming_s)

    def touch(self, name: str) -> None:
        """The model is used now. Raises StateError when the folder cannot be written."""
        self._usage.touch(name)

    def note_speed(self, name: str, prefill_per_s: float, decode_per_s: float) -> None:
        """Keep a speed that was measured on this machine, in tokens per second. Raises StateError as ``touch``, and
        as ``resolve`` when there is no such model."""
        self._usage.add_speed(name, self.resolve(name).changed_ns, prefill_per_s, decode_per_s)

    def usage(self, card: ModelCard) -> Usage:
        """When the model was last used, and how fast it was; speeds of files that were replaced are left out."""
        usage = self._usage.read().get(card.name, Usage())
        return usage if usage.changed_ns == card.changed_ns else Usage(usage.last_used)

    def _card(self, manifest: Manifest) -> ModelCard:
        return card_of_manifest(manifest, self._shelf.folder_of(manifest))

    def _loose_cards(self) -> list[ModelCard]:
        files = [path for path in _gguf_files(self._models) if path.stem != PILOT_NAME and path.stem.isprintable()]
        whole = {path.stem for path in files}
        cards = []
        for path in files:
            part = PART.fullmatch(path.stem)
            if part is None or part[1] in whole:
                cards.append(card_of_file(path.stem, path))
            elif int(part[2]) == 1:
                cards.append(card_of_file(part[1], path))
        return cards

    def _removable(self, name: str) -> ModelCard:
        manifest = self.manifest(name)
        if manifest is not None:
            return self._card(manifest)
        for card in self._loose_cards():
            if card.name == name:
                return card
        raise ModelUnavailable(f"there is no model {name[:200]!r}", known_names(self.cards(), self._models))


def check_name(name: str) -> None:
    """Raise UsageError unless a model may be called so."""
    if name == PILOT_NAME:
        raise UsageError(f"the name {PILOT_NAME!r} is the packaged model's", "choose another name")
    try:
        check_model_name(name)
    except ValueError as error:
        raise UsageError(str(error), "choose another name") from error


def _delete(paths: Sequence[Path]) -> int:
    """Remove these files, or the links that they are; returns the bytes that came free."""
    freed = 0
    for path in paths:
        try:
            status = path.lstat()
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise explain(f"cannot remove {path}", error, path.parent) from error
        freed += status.st_size if status.st_nlink == 1 and not stat.S_ISLNK(status.st_mode) else 0
    return freed


def _gguf_files(folder: Path) -> list[Path]:
    """Plain files and links to such; an unreadable folder has none."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".gguf" and path.is_file())
    except OSError:
        return []
