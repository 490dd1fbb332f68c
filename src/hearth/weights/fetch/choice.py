"""Which files of a hub's repository make up the model that was asked for. Pure: looks at names only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from hearth.errors import ModelUnavailable
from hearth.weights.catalogue import file_matches
from hearth.weights.manifest import PART, Role

PREFERRED: Final = ("Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_K_S", "Q4_0", "Q5_K_M", "Q6_K", "Q8_0")
"""What is taken when no quantisation is named: the first that there is. llama.cpp takes Q4_K_M as well."""

# Of two names for a quantisation, longer ones first; `UD-` is Unsloth's own mixture.
_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16))(?=$|[-._/])",
    re.IGNORECASE,
)
_MOST_NAMED = 20
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

    @property
    def name(self) -> str:
        """The file's name without ``.gguf``, of a split one without the mark of the part."""
        part = PART.fullmatch(self.files[0].name[:-5])
        return part[1] if part else self.files[0].name[:-5]

    @property
    def is_whole(self) -> bool:
        """Whether every part is there once."""
        parts = [PART.fullmatch(file.name[:-5]) for file in self.files]
        numbers = [int(part[2]) if part else 1 for part in parts]
        return sorted(numbers) == list(range(1, self.part_count + 1))


def choose(
    repo: str, files: Iterable[HubFile], quant: str = "", pattern: str = "", mmproj: bool = True, draft: bool = False
) -> tuple[tuple[HubFile, Role], ...]:
    """The files of one model and what each is for; the one for the engine first.

    ``quant`` names the quantisation (``UD-Q4_K_XL``, any case) or one file, of a split model without the mark of the
    part. ``pattern`` comes before it: a shell pattern as the catalogue has it (``catalogue.file_matches``), with a
    folder in it one of paths; it may also meet files that are no GGUF: the first of them is the model then. ``mmproj``
    and ``draft`` say whether the projector and the draft model are wanted, where there are any.

    Raises ModelUnavailable naming what there is.
    """
    listed = sorted(files, key=lambda file: file.path)
    ggufs = [file for file in listed if file.is_gguf]
    if pattern and not any(_meets(file, pattern) for file in ggufs):
        return _loose(repo, [file for file in listed if _meets(file, pattern)], pattern)
    models = models_in(ggufs)
    if not models:
        raise ModelUnavailable(f"{repo} has no GGUF", "name a repository with GGUF files, often called …-GGUF")
    if pattern:
        meant = [model for model in models if _meets(model.files[0], pattern)]
        # `*Q4_K_M*` also meets `UD-Q4_K_M`.
        meant = (_of_quant(meant, quant) or meant) if quant and len(meant) > 1 else meant
    else:
        meant = _of_quant(models, quant) if quant else _preferred(models)
    known = _named(model.quant or model.name for model in models)
    if not meant:
        raise ModelUnavailable(f"{repo} has no {pattern or quant}", f"there are: {known}")
    if len(meant) > 1:
        # They may well be of one quantisation: only the files' names tell them apart.
        one = known if len({model.quant for model in meant} - {""}) == len(meant) else _named(m.name for m in meant)
        raise ModelUnavailable(f"{repo} has several models for {pattern or quant or 'this name'}", f"name one: {one}")
    model = meant[0]
    if not model.is_whole:
        raise ModelUnavailable(
            f"{repo} has {len(model.files)} of {model.part_count} parts of {_named([model.files[0].name])}",
            f"there are: {known}",
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
    mixed = [model for model in models if model.quant == f"UD-{wanted}"]
    return exact or mixed or [model for model in models if model.name.upper() == wanted.removesuffix(".GGUF")]


def _preferred(models: Sequence[Model]) -> list[Model]:
    if len(models) == 1:
        return list(models)
    return next((found for quant in PREFERRED if (found := [m for m in models if m.quant == quant])), list(models))


def _meets(file: HubFile, pattern: str) -> bool:
    return fnmatchcase(file.path, pattern) if "/" in pattern else file_matches(pattern, file.path)


def _named(names: Iterable[str]) -> str:
    """For a person's terminal: these are other people's names of files."""
    found = ["".join(letter if letter.isprintable() else "?" for letter in name) for name in dict.fromkeys(names)]
    return ", ".join(found[:_MOST_NAMED]) + (" …" if len(found) > _MOST_NAMED else "")


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
