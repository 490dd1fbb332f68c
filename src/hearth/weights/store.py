"""Which models there are: the pilot in the package, and every GGUF in the models folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import ModelUnavailable

PILOT_FILE = Path(__file__).with_name("pilot.gguf")
"""The tiny model that ships in the package."""

PILOT_NAME = "pilot"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model on this disk. ``name`` is what requests call it; ``description`` is one line for a person."""

    name: str
    path: Path
    size_bytes: int
    description: str


class Store:
    """The models of one home. It reads the folders anew at each call: a file that arrives is there at once."""

    def __init__(self, models: Path, pilot: Path = PILOT_FILE) -> None:
        """``models`` is the folder of fetched GGUFs (may not exist yet); ``pilot`` the packaged file."""
        self._models = models
        self._pilot = pilot

    def cards(self) -> list[ModelCard]:
        """Every model that can be named: the pilot first, then by name. A file that is not there has no card.

        A file called ``pilot.gguf`` in the folder is left out: that name is the packaged model's.
        """
        cards = []
        if self._pilot.is_file():
            cards.append(
                ModelCard(PILOT_NAME, self._pilot, _size(self._pilot), "the tiny model that ships with hearth")
            )
        for path in _gguf_files(self._models):
            if path.stem != PILOT_NAME:
                cards.append(ModelCard(path.stem, path, _size(path), path.name))
        return cards

    def resolve(self, name: str) -> ModelCard:
        """The model called ``name``, or the file when ``name`` is the absolute path of a ``.gguf``.

        Raises ModelUnavailable naming the models that exist. The file's content is not looked at.
        """
        if name.endswith(".gguf") and Path(name).is_absolute():
            path = Path(name)
            return ModelCard(name, path, _size(path), path.name)
        cards = self.cards()
        for card in cards:
            if card.name == name:
                return card
        if name == PILOT_NAME:
            raise ModelUnavailable(
                f"the pilot is missing from this installation: {self._pilot}",
                "run: pip install --force-reinstall hearth-code (in a checkout: make pilot)",
            )
        raise ModelUnavailable(f"there is no model {name!r}", _known(cards, self._models))


def _known(cards: Sequence[ModelCard], models: Path) -> str:
    names = ", ".join(card.name for card in cards)
    return f"there are: {names}" if names else f"put a .gguf file into {models}"


def _gguf_files(folder: Path) -> list[Path]:
    """Plain files and links to such; an unreadable folder has none."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".gguf" and path.is_file())
    except OSError:
        return []


def _size(path: Path) -> int:
    """Bytes; 0 for a file that went away or never was: the check before a load says so in better words."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
