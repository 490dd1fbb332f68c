"""Which models there are: the pilot in the package, and every GGUF in the models folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import ModelUnavailable

PILOT_FILE = Path(__file__).with_name("pilot.gguf")
"""The tiny model that ships in the package."""

PILOT_NAME = "pilot"

# How llama.cpp's gguf-split names the parts of one model; the engine is given the first and finds the others.
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model on this disk. ``name`` is what requests call it; ``description`` is one line for a person.

    ``path`` is the file that an engine is given, ``more_parts`` the others of a split model, there or not. Cards of
    files that were replaced differ by ``changed_ns``, the latest change in nanoseconds since the epoch.
    """

    name: str
    path: Path
    size_bytes: int
    description: str
    more_parts: tuple[Path, ...] = ()
    changed_ns: int = 0


class Store:
    """The models of one home. It reads the folders anew at each call: a file that arrives is there at once."""

    def __init__(self, models: Path, pilot: Path = PILOT_FILE) -> None:
        """``models`` is the folder of fetched GGUFs (may not exist yet); ``pilot`` the packaged file."""
        self._models = models
        self._pilot = pilot

    def cards(self, chosen: str = "") -> list[ModelCard]:
        """Every model that can be named: the pilot first, then by name. A file that is not there has no card.

        ``chosen`` is the owner's default model, which may be a file elsewhere. A file called ``pilot.gguf`` in the
        folder is left out: that name is the packaged model's. So are those of ``unnameable``, and of a split model
        all parts but the first.
        """
        cards = []
        if self._pilot.is_file():
            cards.append(_one_file(PILOT_NAME, self._pilot, "the tiny model that ships with hearth"))
        if is_file_name(chosen) and _measure(Path(chosen)) != (0, 0):
            cards.append(_card(chosen, Path(chosen)))
        files = [path for path in _gguf_files(self._models) if path.stem != PILOT_NAME and path.stem.isprintable()]
        whole = {path.stem for path in files}
        for path in files:
            part = _PART.fullmatch(path.stem)
            if part is None or part[1] in whole:
                cards.append(_card(path.stem, path))
            elif int(part[2]) == 1:
                cards.append(_card(part[1], path))
        return cards

    def unnameable(self) -> list[Path]:
        """Models in the folder whose file names hold line breaks, control characters or bytes that are no text."""
        return [path for path in _gguf_files(self._models) if not path.stem.isprintable()]

    def resolve(self, name: str) -> ModelCard:
        """The model called ``name``, or the file when ``name`` is the absolute path of a ``.gguf``.

        Raises ModelUnavailable naming the models that exist. The file's content is not looked at.
        """
        if is_file_name(name):
            return _card(name, Path(name))
        cards = self.cards()
        for card in cards:
            if card.name == name:
                return card
        if name == PILOT_NAME:
            raise ModelUnavailable(
                f"the pilot is missing from this installation: {self._pilot}",
                "run: pip install --force-reinstall hearth-code (in a checkout: make pilot)",
            )
        raise ModelUnavailable(f"there is no model {name[:200]!r}", _known(cards, self._models))


def is_file_name(name: str) -> bool:
    """Whether a model is named by the absolute path of its file."""
    return name.endswith(".gguf") and Path(name).is_absolute()


def _card(name: str, path: Path) -> ModelCard:
    part = _PART.fullmatch(path.stem)
    if part is None or int(part[2]) != 1:
        return _one_file(name, path, path.name)
    count = int(part[3])
    more = tuple(path.with_name(f"{part[1]}-{number:05}-of-{count:05}.gguf") for number in range(2, count + 1))
    sizes, changes = zip(*map(_measure, (path, *more)), strict=True)
    missing = changes.count(0)
    text = f"{count} parts" + (f", {missing} missing" if missing else "")
    return ModelCard(name, path, sum(sizes), text, more, max(changes))


def _one_file(name: str, path: Path, description: str) -> ModelCard:
    size, changed_ns = _measure(path)
    return ModelCard(name, path, size, description, changed_ns=changed_ns)


def _known(cards: Sequence[ModelCard], models: Path) -> str:
    names = ", ".join(card.name for card in cards)
    return f"there are: {names}" if names else f"put a .gguf file into {models}"


def _gguf_files(folder: Path) -> list[Path]:
    """Plain files and links to such; an unreadable folder has none."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".gguf" and path.is_file())
    except OSError:
        return []


def _measure(path: Path) -> tuple[int, int]:
    """Bytes, and the last change in nanoseconds since the epoch; zeros for a file that went away or never was: the
    check before a load says so in better words."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # a name with a null byte is a ValueError
        return 0, 0
    return status.st_size, status.st_mtime_ns
