"""What a name means to somebody who asks whether it fits: a file here, a model of the catalogue, or one of the hub."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.errors import ModelUnavailable, UsageError
from hearth.weights.card import ModelCard, card_of_file
from hearth.weights.catalogue import Catalogue, Entry, QuantSource
from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.plan import RemoteFile
from hearth.weights.fetch.remote import RemoteSource
from hearth.weights.fetch.wire import Access
from hearth.weights.gguf import Gguf, read_gguf_from
from hearth.weights.importers import in_full
from hearth.weights.parts import read_parts
from hearth.weights.reference import CatalogueRef, FileRef, HubRef, UrlRef, parse_reference
from hearth.weights.shape import ModelShape
from hearth.weights.shape_reader import shape_of
from hearth.weights.store import Store


@dataclass(frozen=True, slots=True)
class Subject:
    """A model whose memory can be counted. ``known_from`` says by what; ``card`` is there for files on this disk.

    ``projector_bytes`` is the file that reads images, 0 for none.
    """

    name: str
    shape: ModelShape
    file_bytes: int
    known_from: Literal["file", "catalogue", "hub"]
    card: ModelCard | None = None
    projector_bytes: int = 0


def find_subject(text: str, store: Store, catalogue: Catalogue, access: Callable[[], Access]) -> Subject:
    """The model that ``text`` names: one of the store first, then of the catalogue, then by its form.

    Only a reference to the hub uses the network, and of the file there only the header. ``access`` is called for that
    alone. Raises ModelUnavailable when it is not known, or not enough of it; UsageError for nonsense.
    """
    if any(card.name == text for card in store.cards()):
        return subject_of(store.resolve(text), store)
    reference = parse_reference(text)
    match reference:
        case CatalogueRef():
            return of_catalogue(reference, catalogue)
        case HubRef():
            return _of_hub(reference, access())
        case FileRef():
            path = in_full(Path(reference.path))
            return subject_of(card_of_file(str(path), path), store)
        case UrlRef():
            raise UsageError(f"{text[:100]} is not asked for its header", "fetch it, then: hearth models fit NAME")


def of_catalogue(reference: CatalogueRef, catalogue: Catalogue) -> Subject:
    """A model of the catalogue by what is written there. Raises ModelUnavailable naming the hub's reference when the
    catalogue does not know its size or shape."""
    entry, source = find_source(reference, catalogue)
    if entry.shape is None or source.size_bytes is None:
        raise ModelUnavailable(
            f"the catalogue does not know the {'size' if entry.shape else 'shape'} of {reference}",
            f"ask the hub for its header: hearth models fit hf:{source.repo}:{source.quant}",
        )
    return Subject(str(reference), entry.shape, source.size_bytes, "catalogue")


def find_source(reference: CatalogueRef, catalogue: Catalogue) -> tuple[Entry, QuantSource]:
    """The entry and its quantisation. Raises ModelUnavailable naming what there is."""
    entry = catalogue.find(reference.name)
    if entry is None:
        raise ModelUnavailable(
            f"there is no model {reference.name!r}, here or in the catalogue",
            "hearth models list and hearth models recommend show names; owner/name:QUANT names one of the hub",
        )
    source = entry.source(reference.quant)
    if source is None:
        known = ", ".join(each.quant for each in entry.sources if each.format == "gguf")
        raise ModelUnavailable(
            f"{entry.name} is not known in {reference.quant or 'any quantisation'}",
            f"there are: {known}" if known else f'give sources to ["{entry.name}"] in models.toml',
        )
    return entry, source


def subject_of(card: ModelCard, store: Store) -> Subject:
    """A model on this disk by the headers of its files. Raises ModelUnavailable, CorruptModel."""
    first, *more = read_parts(card)
    manifest = store.manifest(card.name) if not card.name.startswith("/") else None
    projector = manifest.file_of("mmproj") if manifest else None
    size = projector.size_bytes if projector else 0
    return Subject(card.name, shape_of(first, *more), card.size_bytes, "file", card, size)


def _of_hub(reference: HubRef, access: Access) -> Subject:
    plan = Hub(access).plan(str(reference), reference.repo, reference.revision, quant=reference.quant)
    main = [file for file in plan.files if file.role == "model"]
    parts = [file for file in plan.files if file.role == "part"]
    projector = sum(file.size_bytes for file in plan.files if file.role == "mmproj")
    first, *more = (_read_remote(file, access) for file in (*main, *parts))
    size = sum(file.size_bytes for file in (*main, *parts))
    return Subject(str(reference), shape_of(first, *more), size, "hub", projector_bytes=projector)


def _read_remote(file: RemoteFile, access: Access) -> Gguf:
    with closing(RemoteSource(file, access)) as source:
        return read_gguf_from(source, file.name)
