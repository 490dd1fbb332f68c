"""The stores of other programs, built as those programs leave them on the disk; and what a scan finds in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf_models
from hearth.weights.importers import Place, scan
from hearth.weights.importers.found import Found

KIND = "application/vnd.ollama.image."


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gguf(folder: Path, seed: int = 0) -> bytes:
    """A small model's file."""
    path = gguf_models.write_llama(folder / f"seed-{seed}.gguf", seed=seed)
    data = path.read_bytes()
    path.unlink()
    return data


def split(folder: Path, name: str) -> list[Path]:
    """A model in parts, written into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    gguf_models.write_llama(folder / f"{name}.gguf", tensors_a_part=8)
    return sorted(folder.glob(f"{name}-*-of-*.gguf"))


class Ollama:
    """A store as ``ollama pull`` leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True)

    def blob(self, data: bytes) -> Path:
        path = self.root / "blobs" / f"sha256-{sha256(data)}"
        path.write_bytes(data)
        return path

    def model(self, name: str, *layers: tuple[str, bytes]) -> Path:
        """``name`` is ``HOST/NAMESPACE/MODEL/TAG``; the layers are pairs of a kind and its bytes."""
        more = (("template", b"{{ .Prompt }}"), ("params", b'{"temperature":1}'), ("license", b"MIT"))
        config = b'{"model_format":"gguf","model_family":"llama"}'
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": f"sha256:{sha256(config)}",
                "size": len(config),
            },
            "layers": [
                {"mediaType": KIND + kind, "digest": f"sha256:{sha256(data)}", "size": len(data)}
                for kind, data in (*layers, *more)
            ],
        }
        for _, data in (*layers, *more, ("", config)):
            self.blob(data)
        path = self.root / "manifests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))
        return path


class HubCache:
    """A cache as ``huggingface_hub`` leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, repository: str, revision: str, name: str, data: bytes) -> Path:
        folder = self.root / f"models--{repository.replace('/', '--')}"
        blob = folder / "blobs" / sha256(data)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        path = folder / "snapshots" / revision / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path(*[".."] * (1 + len(Path(name).parts))) / "blobs" / blob.name)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(revision)
        return path


def named(places: list[Place], lines: list[str] | None = None) -> dict[str, Found]:
    """What a scan finds, by name. ``lines`` takes what it says of the rest."""
    return {found.name: found for found in scan(places, (lines if lines is not None else []).append)}


def disk_bytes(root: Path) -> int:
    """What the files below take on the disk, each once however many names it has."""
    statuses = {(status.st_dev, status.st_ino): status for path in root.rglob("*") if (status := path.lstat())}
    return sum(status.st_blocks * 512 for status in statuses.values() if status.st_mode & 0o100000)
