"""Stores that are folders of GGUFs: LM Studio's, llama.cpp's cache, the hub's cache, and any other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hearth.weights.importers.found import (
    Found,
    Program,
    Say,
    best_projector,
    files_of,
    ggufs_among,
    is_projector,
    models_among,
    read_text,
    walk,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CACHED = re.compile(r"([^_]+)_(.+?-gguf)_(?=.)", re.IGNORECASE)
_QUANT = re.compile(r"mmproj|model|(?:bf|f|q|iq)\d+(?:_\w+)?", re.IGNORECASE)


class _Lfs(msgspec.Struct, frozen=True):
    sha256: str = ""


class _Wanted(msgspec.Struct, frozen=True):
    rfilename: str
    lfs: _Lfs | None = None


class _CacheNote(msgspec.Struct, frozen=True, rename="camel"):
    gguf_file: _Wanted | None = None
    mmproj_file: _Wanted | None = None


def scan_folder(root: Path, say: Say) -> Iterator[Found]:
    """Every GGUF below ``root``, each split model once. A projector is taken along when it is plain whose it is."""
    for paths in walk(root, say):
        models = list(models_among(paths, say))
        for stem, parts in models:
            own = [path for path in paths if is_projector(path.name) and _belongs(path, stem, alone=len(models) == 1)]
            yield from _found(stem, "folder", str(paths[0].parent), parts, best_projector(own), say)


def scan_lm_studio(root: Path, say: Say) -> Iterator[Found]:
    """LM Studio's ``PUBLISHER/REPOSITORY/FILE.gguf``."""
    yield from _scan_repositories(root, "lm-studio", "", 2, say)


def scan_hugging_face(root: Path, say: Say) -> Iterator[Found]:
    """The hub's ``models--OWNER--NAME/snapshots/REVISION/FILE``, links to ``blobs/``: that of a large file is called by
    its sha256. The revision that was fetched last under its name comes first."""
    try:
        repositories = sorted(path for path in root.glob("models--*") if path.is_dir())
    except OSError as error:
        say(f"cannot read {root}: {error.strerror}")
        return
    for repository in repositories:
        name = repository.name.removeprefix("models--").replace("--", "/")
        main = read_text(repository / "refs" / "main").decode(errors="replace").strip()
        try:
            snapshots = [path for path in (repository / "snapshots").iterdir() if path.is_dir()]
        except OSError as error:
            if repository.joinpath("snapshots").exists():
                say(f"cannot read {repository / 'snapshots'}: {error.strerror}")
            continue
        for snapshot in sorted(snapshots, key=lambda path: (path.name != main, path.name)):
            yield from _scan_repositories(snapshot, "hugging-face", f"{name}@{snapshot.name}", 0, say)


def scan_llama_cpp(root: Path, say: Say) -> Iterator[Found]:
    """llama.cpp's ``OWNER_REPOSITORY_FILE.gguf``, all in one folder, with the hub's answers beside them in
    ``manifest=OWNER=REPOSITORY=TAG.json``. (Later versions use the hub's cache instead.)"""
    try:
        paths = sorted(root.iterdir())
    except OSError as error:
        say(f"cannot read {root}: {error.strerror}")
        return
    repositories, hashes = _read_notes(paths)
    ggufs = list(ggufs_among(paths, say))
    for stem, parts in models_among(ggufs, say):
        noted = [(prefix, name) for prefix, name in repositories.items() if stem.startswith(prefix)]
        prefix, where = max(noted, key=lambda pair: len(pair[0])) if noted else _guess(stem)
        own = [path for path in ggufs if prefix and path.name.startswith(prefix)]
        name = stem.removeprefix(prefix)
        yield from _found(name, "llama.cpp", where or str(root), parts, best_projector(own), say, hashes)


def _scan_repositories(root: Path, program: Program, where: str, depth: int, say: Say) -> Iterator[Found]:
    """Repositories ``depth`` folders below ``root``: a projector is for the models of its folder and of those below."""
    projectors: dict[Path, Path] = {}
    for paths in walk(root, say):
        folder = paths[0].parent
        own = best_projector(paths)
        if own is not None and len(folder.relative_to(root).parts) >= depth:
            projectors[folder] = own
        above = next((projectors[each] for each in (folder, *folder.parents) if each in projectors), None)
        for stem, parts in models_among(paths, say):
            yield from _found(stem, program, where or folder.relative_to(root).as_posix(), parts, above, say)


def _found(
    name: str,
    program: Program,
    where: str,
    paths: Sequence[Path],
    projector: Path | None,
    say: Say,
    hashes: dict[str, str] | None = None,
) -> Iterator[Found]:
    try:
        files = files_of(paths, projector, lambda path: (hashes or {}).get(path.name, "") or _blob_hash(path))
    except OSError as error:
        say(f"cannot read {error.filename}: {error.strerror}")
        return
    yield Found(name, program, where, files)


def _blob_hash(path: Path) -> str:
    """The sha256 by which the hub's cache calls the file that a link of it leads to."""
    real = path.resolve()
    return real.name if path.is_symlink() and real.parent.name == "blobs" and _SHA256.fullmatch(real.name) else ""


def _read_notes(paths: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """From llama.cpp's notes: the repository for each beginning of a file's name, and hashes by file names."""
    repositories: dict[str, str] = {}
    hashes: dict[str, str] = {}
    for path in paths:
        words = path.stem.split("=")
        if path.suffix != ".json" or len(words) != 4 or words[0] != "manifest":
            continue
        _, owner, name, _ = words
        prefix = f"{owner}_{name}_"
        repositories[prefix] = f"{owner}/{name}"
        try:
            note = msgspec.json.decode(read_text(path), type=_CacheNote)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        for wanted in (note.gguf_file, note.mmproj_file):
            if wanted is not None and wanted.lfs is not None and _SHA256.fullmatch(wanted.lfs.sha256):
                hashes[prefix + wanted.rfilename.replace("/", "_")] = wanted.lfs.sha256
    return repositories, hashes


def _guess(stem: str) -> tuple[str, str]:
    """The beginning of a cached file's name and its repository, where no note tells them; empty when in doubt."""
    cached = _CACHED.match(stem)
    return (cached[0], f"{cached[1]}/{cached[2]}") if cached else ("", "")


def _belongs(projector: Path, stem: str, *, alone: bool) -> bool:
    """Whether a projector in a folder of anything is this model's: it bears its name, or nobody else is there."""
    words = [word for word in re.split(r"[-.]", projector.stem.casefold()) if word and not _QUANT.fullmatch(word)]
    return alone if not words else stem.casefold().replace(".", "-").startswith("-".join(words))
