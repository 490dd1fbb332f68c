"""Which files of a hub's repository make up the model that was asked for. Pure: looks at names only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from hearth.errors import ModelUnavailable
from hearth.weights.manifest import PART, Role

PREFERRED: Final = ("Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_K_S", "Q4_0", "Q5_K_M", "Q6_K", "Q8_0")
"""What is taken when no quantisation is named: the first that there is. llama.cpp takes Q4_K_M as well."""

# Of two names for a quantisation, longer ones first; `UD-` is Unsloth's own mixture.
_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16))(?=$|[-._/])",
    re.IGNORECASE,
)
_PROJECTORS = ("F16", "BF16", "Q8_0", "F32")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in the hub's list. ``path`` is within the repository. ``sha256`` is empty for what is kept in git itself,
    and ``git_oid`` for what is not."""

    path: str
    size_bytes: int
    sha256: str = ""
    git_oid: str = ""

    @property
    def name(self) -> str:
        """Without the folder."""
        return PurePosixPath(self.path).name

    @property
    def is_gguf(self) -> bool:
        """Whether it is one, by its name."""
        return self.name.lower().endswith(".gguf")


@dataclass(frozen=True, slots=True)
class Model:
    """A model in a repository: one file, or its parts in order."""

    quant: str
    files: tuple[HubFile, ...]
    part_count: int


def choose(
    repo: str, files: Iterable[HubFile], quant: str = "", pattern: str = "", mmproj: bool = True, draft: bool = False
) -> tuple[tuple[HubFile, Role], ...]:
    """The files of one model and what each is for; the one for the engine first.

    ``quant`` names the quantisation (``UD-Q4_K_XL``, any case), ``pattern`` is a shell pattern of paths and comes
    before it; it may also meet files that are no GGUF: the first of them is the model then. ``mmproj`` and ``draft``
    say whether the projector and the draft model are wanted, where there are any.

    Raises ModelUnavailable naming what there is.
    """
    listed = sorted(files, key=lambda file: file.path)
    ggufs = [file for file in listed if file.is_gguf]
    if pattern and not any(fnmatchcase(file.path, pattern) for file in ggufs):
        return _loose(repo, [file for file in listed if fnmatchcase(file.path, pattern)], pattern)
    models = models_in(ggufs)
    if not models:
        raise ModelUnavailable(f"{repo} has no GGUF", "name a repository with GGUF files, often called …-GGUF")
    if pattern:
        meant = [model for model in models if fnmatchcase(model.files[0].path, pattern)]
        # `*Q4_K_M*` also meets `UD-Q4_K_M`.
        meant = (_of_quant(meant, quant) or meant) if quant and len(meant) > 1 else meant
    else:
        meant = _of_quant(models, quant) if quant else _preferred(models)
    known = ", ".join(dict.fromkeys(model.quant or model.files[0].name for model in models))
    if not meant:
        raise ModelUnavailable(f"{repo} has no {pattern or quant}", f"there are: {known}")
    if len(meant) > 1:
        raise ModelUnavailable(f"{repo} has several models for {pattern or quant or 'this name'}", f"name one: {known}")
    model = meant[0]
    if len(model.files) != model.part_count:
        raise ModelUnavailable(
            f"{repo} has {len(model.files)} of {model.part_count} parts of {model.files[0].name}", f"there are: {known}"
        )
    found: list[tuple[HubFile, Role]] = [(file, "part" if n else "model") for n, file in enumerate(model.files)]
    if mmproj and (side := _projector(ggufs)):
        found.append((side, "mmproj"))
    if draft and (side := _draft(ggufs, model.quant)):
        found.append((side, "draft"))
    return tuple(found)


def models_in(files: Sequence[HubFile]) -> list[Model]:
    """The models among these files, in the order of their paths; no projectors, drafts or data for quantising."""
    groups: dict[str, list[HubFile]] = {}
    for file in files:
        if file.is_gguf and not _is_side(file):
            part = PART.fullmatch(file.path[:-5])
            groups.setdefault(f"{part[1]} {part[3]}" if part else file.path, []).append(file)
    models = []
    for group in groups.values():
        part = PART.fullmatch(group[0].path[:-5])
        models.append(Model(quant_of(group[0].path), tuple(group), int(part[3]) if part else 1))
    return models


def quant_of(path: str) -> str:
    """The quantisation that a file's name tells, in capitals; the folder's name when the file's tells none."""
    for text in (PurePosixPath(path).name[:-5], str(PurePosixPath(path).parent)):
        found: list[str] = _QUANT.findall(text)
        if found:
            return found[-1].upper()
    return ""


def _of_quant(models: Sequence[Model], quant: str) -> list[Model]:
    wanted = quant.upper()
    exact = [model for model in models if model.quant == wanted]
    return exact or [model for model in models if model.quant == f"UD-{wanted}"]


def _preferred(models: Sequence[Model]) -> list[Model]:
    if len(models) == 1:
        return list(models)
    return next((found for quant in PREFERRED if (found := [m for m in models if m.quant == quant])), list(models))


def _is_side(file: HubFile) -> bool:
    name = file.name.lower()
    return name.startswith(("mmproj", "mtp-", "draft-", "imatrix")) or "-mmproj" in name or "imatrix" in name


def _projector(files: Sequence[HubFile]) -> HubFile | None:
    found = [file for file in files if "mmproj" in file.name.lower()]
    order = {quant: place for place, quant in enumerate(_PROJECTORS)}
    return min(found, key=lambda file: order.get(quant_of(file.path), len(order)), default=None)


def _draft(files: Sequence[HubFile], quant: str) -> HubFile | None:
    found = [file for file in files if file.name.lower().startswith(("mtp-", "draft-"))]
    return min(found, key=lambda file: quant_of(file.path) != quant, default=None)


def _loose(repo: str, files: Sequence[HubFile], pattern: str) -> tuple[tuple[HubFile, Role], ...]:
    if not files:
        raise ModelUnavailable(f"{repo} has no {pattern}", f"see its files at {repo}/tree/main on the hub")
    weights = [file for file in files if file.name.endswith(".safetensors")] or list(files)
    rest = [file for file in files if file is not weights[0]]
    return ((weights[0], "model"), *((file, "part") for file in rest))
