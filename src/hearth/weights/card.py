"""One model on this disk as the rest of hearth sees it, made of loose files or of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from hearth.errors import ModelUnavailable
from hearth.weights.manifest import PART, Manifest, StoredFile

MOST_NAMED = 12
"""Models that an error names."""


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


def is_file_name(name: str) -> bool:
    """Whether a model is named by the absolute path of its file."""
    return name.endswith(".gguf") and Path(name).is_absolute()


def card_of_file(name: str, path: Path, description: str = "") -> ModelCard:
    """The card of a loose file, with its further parts when it is the first of several."""
    part = PART.fullmatch(path.stem)
    if part is None or int(part[2]) != 1:
        size, changed_ns = measure(path)
        return ModelCard(name, path, size, description or path.name, changed_ns=changed_ns)
    count = int(part[3])
    more = tuple(path.with_name(f"{part[1]}-{number:05}-of-{count:05}.gguf") for number in range(2, count + 1))
    sizes, changes = zip(*map(measure, (path, *more)), strict=True)
    missing = changes.count(0)
    text = f"{count} parts" + (f", {missing} missing" if missing else "")
    return ModelCard(name, path, sum(sizes), text, more, max(changes))


def card_of_manifest(manifest: Manifest, folder: Path) -> ModelCard:
    """The card of a model with a manifest, whose own files lie in ``folder``; there or not, the description says it."""
    main = next(file for file in manifest.files if file.role == "model")
    parts = [file for file in manifest.files if file.role == "part"]
    changes = [measure(path_of(file, folder))[1] for file in (main, *parts)]
    trouble = next((text for file in manifest.files if (text := _trouble(file, folder))), "")
    notes = [f"from {_origin(manifest)}", f"{len(parts) + 1} parts" if parts else "", trouble]
    return ModelCard(
        manifest.name,
        path_of(main, folder),
        sum(file.size_bytes for file in (main, *parts)),
        ", ".join(filter(None, notes)),
        tuple(path_of(file, folder) for file in parts),
        max(changes),
    )


def check_files(manifest: Manifest, folder: Path) -> None:
    """Raise ModelUnavailable when a file is gone or has another size, or was changed in the other program's store."""
    for file in manifest.files:
        trouble = _trouble(file, folder)
        if trouble and _refusal(path_of(file, folder)):
            raise ModelUnavailable(f"model {manifest.name}: {trouble}", "let yourself read it: see chmod and chown")
        if trouble and file.how == "reference":
            raise ModelUnavailable(
                f"model {manifest.name}: {trouble}; it lay in the store of {_origin(manifest)}",
                f"fetch it there again and run: hearth models import {quote(manifest.name)}, or: "
                f"hearth models remove {quote(manifest.name)}",
            )
        if trouble:
            raise ModelUnavailable(f"model {manifest.name}: {trouble}", f"run: hearth models {_again(manifest, file)}")


def _again(manifest: Manifest, file: StoredFile) -> str:
    name = quote(manifest.name)
    match manifest.origin.kind:
        case "import":
            return f"import {name}"
        case "url":
            return f"pull {quote(manifest.origin.where)} --sha256 {file.sha256} --as {name}"
        case "hub":
            return f"pull {name}"


def path_of(file: StoredFile, folder: Path) -> Path:
    """Where the file is: in the model's own folder, or where it was taken in place."""
    return Path(file.path) if file.path else folder / file.name


def measure(path: Path) -> tuple[int, int]:
    """Bytes, and the last change in nanoseconds since the epoch; zeros for a file that went away or never was: the
    check before a load says so in better words."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # a name with a null byte is a ValueError
        return 0, 0
    return status.st_size, status.st_mtime_ns


def known_names(cards: Sequence[ModelCard], models: Path) -> str:
    """What to do about a name that is not known."""
    names = ", ".join(card.name for card in cards[:MOST_NAMED])
    if len(cards) > MOST_NAMED:
        return f"there are {len(cards)}: {names} and others: hearth models list"
    return f"there are: {names}" if names else f"put a .gguf file into {models}"


def _trouble(file: StoredFile, folder: Path) -> str:
    """What is wrong with it, in words; empty when nothing is. Its content is not looked at."""
    path = path_of(file, folder)
    size, changed_ns = measure(path)
    if (size, changed_ns) == (0, 0):
        refusal = _refusal(path)
        return f"{path} cannot be read: {refusal}" if refusal else f"{path} is gone"
    if size != file.size_bytes:
        return f"{path} has {size:,} bytes instead of {file.size_bytes:,}"
    if file.how == "reference" and changed_ns != file.changed_ns:
        return f"{path} was changed since it was imported"
    return ""


def _refusal(path: Path) -> str:
    """What the system says of a file that we may not look at; empty when we may, and when it is not there."""
    try:
        path.stat()
    except PermissionError as error:
        return str(error.strerror)
    except (OSError, ValueError):
        return ""
    return ""


def _origin(manifest: Manifest) -> str:
    return manifest.origin.revision if manifest.origin.kind == "import" else manifest.origin.where
