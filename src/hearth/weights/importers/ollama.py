"""Ollama's store: ``manifests/HOST/NAMESPACE/MODEL/TAG`` are JSON with layers, ``blobs/sha256-HEX`` the layers.

Source: ``manifest/manifest.go`` and ``manifest/paths.go`` of Ollama, and its documentation of the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hearth.weights.importers.found import Found, FoundFile, Say, is_gguf, read_text
from hearth.weights.manifest import Role

_KIND = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})", re.IGNORECASE)
_ROLES: dict[str, Role] = {"model": "model", "projector": "mmproj"}


class _Layer(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: int


class _Manifest(msgspec.Struct, frozen=True):
    layers: list[_Layer]


def scan_ollama(root: Path, say: Say) -> Iterator[Found]:
    """The models of the store in ``root``, by name; of several tags of one model ``latest`` comes last."""
    for path in _manifests(root / "manifests", say):
        try:
            found = _read(root, path, say)
        except OSError as error:
            say(f"cannot read {error.filename}: {error.strerror}")
            continue
        if found is not None:
            yield found


def _manifests(folder: Path, say: Say) -> list[Path]:
    paths = [folder]
    for _ in ("host", "namespace", "model", "tag"):
        below: list[Path] = []
        for path in paths:
            try:
                below += path.iterdir()
            except OSError as error:
                if path == folder or not isinstance(error, NotADirectoryError):
                    say(f"cannot read {path}: {error.strerror}")
        paths = below
    return sorted(paths, key=lambda path: (path.parent, path.name == "latest", path.name))


def _read(root: Path, path: Path, say: Say) -> Found | None:
    if not path.is_file():
        return None
    name = _name(path.relative_to(root / "manifests").parts)
    try:
        manifest = msgspec.json.decode(read_text(path), type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        say(f"{path} is not a manifest of Ollama's")
        return None
    kinds = [layer.media_type.removeprefix(_KIND).partition(";")[0] for layer in manifest.layers]
    if kinds.count("model") != 1:
        what = "is not made of GGUFs" if "tensor" in kinds else f"has {kinds.count('model')} files of weights"
        say(f"Ollama's {name} {what}: left out")
        return None
    files: dict[Role, FoundFile] = {}
    for kind, layer in zip(kinds, manifest.layers, strict=True):
        role = _ROLES.get(kind)
        if role is not None and role not in files:
            file = _file(root, layer, role, name, say)
            if file is None:
                return None
            files[role] = file
    note = "its adapter is not taken along" if "adapter" in kinds else ""
    return Found(name, "ollama", str(path), (files.pop("model"), *files.values()), note=note)


def _file(root: Path, layer: _Layer, role: Role, name: str, say: Say) -> FoundFile | None:
    digest = _DIGEST.fullmatch(layer.digest)
    if digest is None:
        say(f"Ollama's {name} has a layer without a sha256: left out")
        return None
    sha256 = digest[1].lower()
    # Old versions wrote a colon, which is what the manifest still has.
    blobs = (root / "blobs" / f"sha256-{sha256}", root / "blobs" / f"sha256:{sha256}")
    blob = next((each for each in blobs if each.exists()), None)
    if blob is None:
        say(f"Ollama's {name} lacks {blobs[0]}: left out")
        return None
    if not is_gguf(blob, say):
        return None
    if blob.stat().st_size != layer.size:
        say(f"Ollama's {name}: {blob} has {blob.stat().st_size:,} of {layer.size:,} bytes: left out")
        return None
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:120]
    return FoundFile(blob, f"{'mmproj-' if role == 'mmproj' else ''}{plain}.gguf", layer.size, role, sha256)


def _name(parts: tuple[str, ...]) -> str:
    """What Ollama calls it: host and namespace are left out where they are its own library's."""
    host, namespace, model, tag = parts
    if host != "registry.ollama.ai":
        return f"{host}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == "library" else f"{namespace}/{model}:{tag}"
