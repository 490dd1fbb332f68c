"""The headers of all files of a model on this disk, held against one another as the engine does when it loads them."""

from __future__ import annotations

from pathlib import Path

from hearth.errors import CorruptModel
from hearth.weights.card import ModelCard
from hearth.weights.gguf import Gguf, read_gguf


def read_parts(card: ModelCard) -> tuple[Gguf, ...]:
    """The header of each file, the first part's first.

    Raises what ``read_gguf`` does, and CorruptModel when the files are not all the parts of one model in their order:
    a first part alone would pass for a small model.
    """
    paths = (card.path, *card.more_parts)
    parts = tuple(map(read_gguf, paths))
    for place, (path, part) in enumerate(zip(paths, parts, strict=True)):
        _check_place(path, part, place, len(paths))
    told = parts[0].metadata.get("split.tensors.count", 0)
    found = sum(len(part.tensors) for part in parts)
    if len(parts) > 1 and isinstance(told, int) and told and told != found:
        raise CorruptModel(
            f"{card.path} tells of {told:,} tensors, its {len(parts)} parts hold {found:,}",
            "fetch or copy all parts again",
        )
    return parts


def _check_place(path: Path, part: Gguf, place: int, count: int) -> None:
    number = part.metadata.get("split.no", 0)
    if part.part_count == count and (count == 1 or number == place):
        return
    if part.part_count == 1:
        raise CorruptModel(f"{path} is a whole model, its name says part {place + 1} of {count}", "rename the file")
    own = number + 1 if isinstance(number, int) else "?"
    raise CorruptModel(
        f"{path} is part {own} of {part.part_count}, and was taken for part {place + 1} of {count}",
        f"name the first file of the model, NAME-00001-of-{part.part_count:05}.gguf, with all others beside it",
    )
