"""Models that are on this machine already, in the stores of other programs, and how they are taken over in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec

from hearth.errors import CorruptModel, ModelUnavailable, UsageError
from hearth.weights.card import measure
from hearth.weights.fetch.progress import Report
from hearth.weights.gguf import read_header
from hearth.weights.importers.folders import scan_folder, scan_hugging_face, scan_llama_cpp, scan_lm_studio
from hearth.weights.importers.found import Found, FoundFile, Program, Say, read_text
from hearth.weights.importers.ollama import scan_ollama
from hearth.weights.importers.taking import Reading, Way, take
from hearth.weights.manifest import Manifest, Origin, StoredFile, check_model_name, check_plain
from hearth.weights.store import PILOT_NAME, Store, check_name

Choice = Literal["auto", "link", "reflink", "reference", "copy"]
"""How a model is taken over. ``auto`` takes the first of the three that need no disk: it never copies."""

OLLAMA_ONLY = frozenset({"gptoss", "mllama", "qwen25vl"})
"""Architectures of GGUFs that Ollama made for an engine of its own; llama.cpp does not know them, nor what is in them.
Source: ollama issue 11816, and the names that our engine knows."""

_WAYS: dict[Choice, tuple[Way, ...]] = {
    "auto": ("link", "reflink", "reference"),
    "link": ("link",),
    "reflink": ("reflink",),
    "reference": ("reference",),
    "copy": ("copy",),
}
_SCANS: dict[Program, Callable[[Path, Say], Iterator[Found]]] = {
    "ollama": scan_ollama,
    "lm-studio": scan_lm_studio,
    "llama.cpp": scan_llama_cpp,
    "hugging-face": scan_hugging_face,
    "folder": scan_folder,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to look into, and whose store it is."""

    program: Program
    path: Path


class _LmStudioSettings(msgspec.Struct, frozen=True, rename="camel"):
    downloads_folder: str = ""


def usual_places(environment: Mapping[str, str], home: Path, system: Path = Path("/")) -> list[Place]:
    """The stores of other programs that are there. ``system`` is where the paths of the whole machine begin."""

    def given(variable: str) -> Path | None:
        value = environment.get(variable, "")
        return Path(value) if value.startswith("/") else home / value.removeprefix("~/") if value else None

    cache = given("XDG_CACHE_HOME") or home / ".cache"
    hub = given("HF_HUB_CACHE") or (given("HF_HOME") or cache / "huggingface") / "hub"
    studio = home / ".lmstudio"
    pointer = read_text(home / ".lmstudio-home-pointer").decode(errors="replace").strip()
    if pointer.startswith("/") and pointer.isprintable():
        studio = Path(pointer)
    candidates: list[tuple[Program, Path | None]] = [
        ("ollama", given("OLLAMA_MODELS")),
        ("ollama", home / ".ollama" / "models"),
        ("ollama", system / "usr/share/ollama/.ollama/models"),
        ("ollama", system / "var/lib/ollama/models"),
        ("ollama", system / "var/lib/ollama"),
        ("lm-studio", _downloads_folder(studio)),
        ("lm-studio", studio / "models"),
        ("lm-studio", home / ".cache/lm-studio/models"),
        ("llama.cpp", given("LLAMA_CACHE")),
        ("llama.cpp", cache / "llama.cpp"),
        ("llama.cpp", home / "Library/Caches/llama.cpp"),
        ("hugging-face", hub),
    ]
    places: dict[Path, Place] = {}
    for program, path in candidates:
        if path is not None and _may_be_there(path / "manifests" if program == "ollama" else path):
            places.setdefault(path.resolve(), Place(program, path))
    return list(places.values())


def place_of(folder: Path) -> Place:
    """Whose store a folder that somebody named is, by what lies in it. It is made absolute."""
    folder = in_full(folder)
    if _may_be_there(folder / "manifests") and _may_be_there(folder / "blobs"):
        return Place("ollama", folder)
    cached = _may_be_there(folder) and next(folder.glob("models--*"), None)
    return Place("hugging-face" if cached else "folder", folder)


def in_full(path: Path) -> Path:
    """The path as somebody wrote it, absolute. Raises UsageError for ``~name`` of a name that nobody has here."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            f"{str(path)[:200]!r} begins with the home of somebody unknown", "write the path in full"
        ) from error


def scan(places: Iterable[Place], say: Say = lambda line: None) -> list[Found]:
    """Every model in these places, each file once, under names of which each is there once. Nothing is read but
    folders, notes and the first bytes of files. ``say`` hears of what could not be read or was left out."""
    by_file: dict[tuple[int, int], Found] = {}

    def say_plainly(line: str) -> None:
        # The names of other people's files go to a terminal.
        say("".join(letter if letter.isprintable() else "?" for letter in line))

    for place in places:
        for found in _SCANS[place.program](place.path, say_plainly):
            try:
                status = found.files[0].path.stat()
            except OSError:
                continue
            name = _name(found.name, say_plainly)
            same = by_file.get((status.st_dev, status.st_ino))
            if name and same is None:
                by_file[status.st_dev, status.st_ino] = replace(found, name=name)
            elif same is not None and name not in ("", same.name, *same.aliases):
                by_file[status.st_dev, status.st_ino] = replace(same, aliases=(*same.aliases, name))
    taken = {PILOT_NAME}
    models = []
    for found in by_file.values():
        name = next(name for name in _names(found) if name.casefold() not in taken)
        taken.add(name.casefold())
        models.append(replace(found, name=name))
    return models


def imported_as(found: Found, store: Store) -> str:
    """The name under which this very file is in the store already; empty when it is not."""
    path = found.files[0].path
    for manifest in store.manifests():
        if manifest.origin == _origin(found):
            return manifest.name
        if _is_same(store.path_of(manifest), path):
            return manifest.name
    return ""


def import_model(
    found: Found, store: Store, how: Choice = "auto", name: str = "", report: Report = lambda progress: None
) -> Manifest:
    """Take the model over and publish it, called ``name`` or as it was found. All its files are taken in one way:
    ``auto`` by hard links, else by sharing blocks, else by reference; it never copies.

    Each file is read as a GGUF, and its sha256 compared where its owner tells one, which reads it whole. Raises
    UsageError for a name that is taken by another model or cannot be, ModelUnavailable when a file went away,
    CorruptModel when it is damaged or made for Ollama's engine alone, StateError when ``how`` is not possible here.
    An earlier import of the same model is replaced.
    """
    name = name or found.name
    check_name(name)
    _refuse_taken(name, found, store)
    for file in found.files:
        _check_file_name(file)
        _check_header(file, found)
    with store.gathering() as folder:
        reading = Reading([file for file in found.files if file.sha256 or how == "copy"], report)
        taken = take(found, folder, _WAYS[how], reading)
        files = [_stored(file, path, way, reading) for file, path, way in taken]
        references = all(file.path for file in files)
        return store.publish(name, _origin(found), None if references else folder, files)


def consequence(manifest: Manifest) -> str:
    """What becomes of an imported model when its first owner deletes it, in one line; empty for others."""
    main = manifest.file_of("model")
    owner = manifest.origin.revision
    if manifest.origin.kind != "import" or main is None:
        return ""
    match main.how:
        case "link":
            return f"a hard link: it takes no more disk, and stays when {owner} deletes its own"
        case "reflink":
            return f"shares its blocks with {owner}'s: it takes no more disk, and stays when {owner} deletes its own"
        case "reference":
            return f"lies in the store of {owner}, and is gone when it is deleted there"
        case _:
            return "a copy of our own"


def _origin(found: Found) -> Origin:
    return Origin("import", str(found.files[0].path), found.program)


def _names(found: Found) -> Iterator[str]:
    """What it could be called, best first."""
    yield found.name
    yield f"{found.name}@{found.program}"
    yield from (f"{found.name}@{number}" for number in count(2))


def _name(name: str, say: Say) -> str:
    try:
        check_model_name(name)
    except ValueError as error:
        say(f"{error}: rename the file")
        return ""
    return name


def _refuse_taken(name: str, found: Found, store: Store) -> None:
    manifest = next((each for each in store.manifests() if each.name == name), None)
    if manifest is None or _is_earlier(manifest, found, store.path_of(manifest)):
        return
    how = "imported" if manifest.origin.kind == "import" else "fetched"
    raise UsageError(
        f"there is a model {name} already, {how} from {manifest.origin.where}",
        "import it under another name: --as NAME",
    )


def _is_earlier(manifest: Manifest, found: Found, ours: Path) -> bool:
    """Whether this is the same model as it was imported before. Of another one, ``ours`` may be the file's last name:
    it would be lost."""
    before, now = manifest.origin, _origin(found)
    if before.kind != "import":
        return False
    if before.revision == now.revision:
        # These two have a new path for each version of a model.
        if now.revision == "ollama" and manifest.name == found.name:
            return True
        if before.where.partition("/snapshots/")[0] == now.where.partition("/snapshots/")[0]:
            return True
    return _is_same(ours, found.files[0].path) or measure(ours) == (0, 0)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _check_file_name(file: FoundFile) -> None:
    try:
        check_plain(file.name)
    except ValueError as error:
        raise UsageError(f"{file.path}: {error}", "rename the file") from error


def _check_header(file: FoundFile, found: Found) -> None:
    header = read_header(file.path)
    if header.architecture in OLLAMA_ONLY:
        raise CorruptModel(
            f"{file.path} was made for Ollama's own engine: llama.cpp does not know the architecture "
            f"{header.architecture!r}",
            f"fetch the model itself: hearth models pull {found.name}",
        )


def _stored(file: FoundFile, path: Path, way: Way, reading: Reading) -> StoredFile:
    """Verify what was taken, not what it was taken from, and write it down."""
    sha256 = reading.hash_of(file, path) if file.sha256 or way == "copy" else ""
    if file.sha256 and sha256 != file.sha256:
        raise CorruptModel(
            f"{file.path} is damaged: its sha256 is {sha256[:12]}…, and its owner says {file.sha256[:12]}…",
            "fetch it again there, or with: hearth models pull",
        )
    status = path.stat()
    if status.st_size != file.size_bytes:
        raise ModelUnavailable(f"{file.path} is being changed", "wait until it is there, and scan again")
    if way == "reference":
        return StoredFile(file.name, file.size_bytes, sha256, file.role, str(path), way, status.st_mtime_ns)
    return StoredFile(file.name, file.size_bytes, sha256, file.role, how="own" if way == "copy" else way)


def _downloads_folder(studio: Path) -> Path | None:
    """Where LM Studio's settings say that models are; None when they say nothing."""
    try:
        folder = msgspec.json.decode(read_text(studio / "settings.json"), type=_LmStudioSettings).downloads_folder
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Path(folder) if folder.startswith("/") and folder.isprintable() else None


def _may_be_there(folder: Path) -> bool:
    """Whether it is a folder, or one sees that only its owner knows: the scan will say so."""
    try:
        return folder.is_dir()
    except PermissionError:
        return True
    except OSError:  # a name that is too long
        return False
