"""The catalogue: what is known of models before any of it is fetched. ``catalogue.toml`` in the package, and over it
the owner's ``models.toml``.

An owner's table with a new name adds a model. One with a known name overrides the fields that it gives: ``sampling``
and ``shape`` key by key, ``sources`` by quantisation; sources that the owner gives come first, so the first of them is
the default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from hearth.errors import SettingsError
from hearth.weights.reference import is_catalogue_name, is_repository
from hearth.weights.shape import MOST_LAYERS, KvGroup, ModelShape, Recurrent

CATALOGUE_FILE = Path(__file__).with_name("catalogue.toml")
"""What ships in the package."""

Purpose = Literal["agent", "quick", "fim", "plan", "prose"]
"""What a model is good for: work with tools over many steps, quick edits, filling in the middle of a file, planning
and reasoning, prose."""

Format = Literal["gguf", "hf"]
"""``gguf`` for llama.cpp, ``hf`` a whole repository for vLLM."""

Knob = Literal["temperature", "top_p", "top_k", "min_p", "presence_penalty", "repeat_penalty"]

Billions = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=1)]

_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf\Z)")
_WHERE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]+)`\Z")


class QuantSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model is fetched in one quantisation.

    ``repo`` is the hub's ``owner/name``. ``pattern`` is for ``file_matches``, a name without folder and part; all files
    are meant when ``format`` is ``hf``. ``size_bytes`` are all parts together as the hub listed them, None when nobody
    told us; the hub has the last word. ``sha256`` pins a model of one file, in hexadecimal digits; empty is the rule.
    """

    quant: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
    repo: str
    pattern: str = "*"
    size_bytes: Count | None = None
    format: Format = "gguf"
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""

    def __post_init__(self) -> None:
        if not is_repository(self.repo):
            raise ValueError(f"repo: {self.repo!r} is not owner/name")
        if self.format == "gguf" and not self.pattern.lower().endswith(".gguf"):
            raise ValueError(f"pattern: {self.pattern!r} does not end in .gguf")
        if "/" in self.pattern or not self.pattern.isprintable():
            raise ValueError(f"pattern: {self.pattern!r} is no name of a file")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the catalogue. What is not known is None or empty.

    ``profile`` names how the agent talks to its family. ``good_for`` has the best first; ``standing`` is our judgement
    from 0 to 100 of how it does against the other models, from published scores where there are any: only the order
    says something. ``total_b`` are billions of parameters, ``active_b`` those that one token uses, ``expert_b`` those
    in experts of which each token uses some. ``tools`` is the form of its tool calls, ``none`` when its template has
    none. ``reasoning`` is ``none``, ``always``, ``toggle``, or ``effort`` for levels. ``sampling`` is the vendor's for
    coding with tools. ``shape`` are the numbers that memory follows from. ``sources`` has the best trade first in each
    format: it is the default.
    """

    name: str
    aliases: tuple[str, ...] = ()
    family: str = ""
    profile: str = "standard"
    good_for: tuple[Purpose, ...] = ()
    standing: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    licence: str = ""
    total_b: Billions | None = None
    active_b: Billions | None = None
    expert_b: Billions | None = None
    native_context: Count | None = None
    tools: str = ""
    reasoning: Literal["", "none", "always", "toggle", "effort"] = ""
    sampling: dict[Knob, int | float] = {}
    shape: ModelShape | None = None
    sources: tuple[QuantSource, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for field, text in (("the name", self.name), *(("aliases", alias) for alias in self.aliases)):
            if not is_catalogue_name(text):
                raise ValueError(f"{field}: {text!r} cannot name a model; like name or name:size, not a quantisation")
        for field in ("family", "profile", "licence", "tools", "note"):
            if not getattr(self, field).isprintable():
                raise ValueError(f"{field}: must be plain text on one line")
        for knob, value in self.sampling.items():
            if not isfinite(value):
                raise ValueError(f"sampling.{knob}: must be a number")
        for field in ("active_b", "expert_b"):
            if self.total_b and (getattr(self, field) or 0) > self.total_b:
                raise ValueError(f"{field}: is above total_b")
        keys = [_key_of(source.quant, source.format) for source in self.sources]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"sources: {key[0]} is there twice for {key[1]}")
        if self.shape is not None:
            _check_shape(self.shape)

    def source(self, quant: str = "", format: Format = "gguf") -> QuantSource | None:
        """The source of this quantisation, whatever its case; without one the default of this format."""
        for source in self.sources:
            if source.format == format and (not quant or source.quant.casefold() == quant.casefold()):
                return source
        return None


class Catalogue:
    """The models that are known by name, the package's first, each in the order of its file."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._index = {entry.name.casefold(): entry for entry in entries}
        for entry in entries:
            for alias in entry.aliases:
                self._index.setdefault(alias.casefold(), entry)

    def find(self, name: str) -> Entry | None:
        """The model of this name or alias, whatever its case."""
        return self._index.get(name.casefold())


def load_catalogue(owner_file: Path | None) -> Catalogue:
    """The package's catalogue, and over it the owner's file; None or a file that is not there leaves the package's.

    Reads both anew at each call. Raises SettingsError naming the owner's file, the model and the field.
    """
    tables = _read(CATALOGUE_FILE)
    given = _read(owner_file) if owner_file else {}
    origin = dict.fromkeys(tables, CATALOGUE_FILE)
    names = {name.casefold(): name for name in tables}
    for written, table in given.items():
        name = names.setdefault(written.casefold(), written)
        origin[name] = owner_file or CATALOGUE_FILE
        _check_table(origin[name], name, table)
        tables[name] = _merge(tables.get(name, {}), table)
    entries = [_convert(origin[name], name, table) for name, table in tables.items()]
    claiming = {names[written.casefold()] for written, table in given.items() if "aliases" in table}
    return Catalogue(_settle_names(entries, origin, claiming))


def file_matches(pattern: str, path: str) -> bool:
    """Whether a file of a repository is meant by a source's pattern. Folders, the mark of a part
    (``-00001-of-00003``) and case do not count: all parts of a split model match."""
    name = path.rpartition("/")[2]
    return fnmatchcase(_PART.sub("", name).lower(), pattern.lower())


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if file == CATALOGUE_FILE:
            fix = "run: pip install --force-reinstall hearth-code"
            raise SettingsError(f"the catalogue is missing from this installation: {file}", fix) from error
        return {}
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{file} is not TOML: {error}", f"mend or remove {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}", f"mend or remove {file}") from error


def _merge(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **given}
    for field in ("sampling", "shape"):
        if isinstance(base.get(field), dict) and isinstance(given.get(field), dict):
            merged[field] = {**base[field], **given[field]}
    if "sources" in base and "sources" in given:
        rest = {_key_of(source.get("quant"), source.get("format", "gguf")): source for source in base["sources"]}
        first = []
        for source in given["sources"]:
            known = rest.pop(_key_of(source.get("quant"), source.get("format", "gguf")), {})
            if any(field in known and source.get(field, known[field]) != known[field] for field in ("repo", "pattern")):
                # Another file: what was known of the first one does not hold for it.
                known = {field: value for field, value in known.items() if field not in ("size_bytes", "sha256")}
            first.append({**known, **source})
        merged["sources"] = [*first, *rest.values()]
    return merged


def _check_table(file: Path, name: str, table: Any) -> None:
    """Refuse what cannot be merged, and fields of a shape that there are not: of those msgspec says nothing."""
    if not isinstance(table, dict):
        _refuse(file, name, f'is not a table; one begins with ["{name}"]')
    if "name" in table:
        _refuse(file, name, "name: the table's own name is the model's")
    sources = table.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        _refuse(file, name, "sources: must be a list of tables")
    shape = table.get("shape")
    if not isinstance(shape, dict):
        return
    groups = shape.get("kv")
    parts = [("shape.kv", group, KvGroup) for group in (groups if isinstance(groups, list) else ())]
    for where, part, kind in (
        ("shape", shape, ModelShape),
        ("shape.recurrent", shape.get("recurrent"), Recurrent),
        *parts,
    ):
        known = [field.name for field in fields(kind)]
        for field in part if isinstance(part, dict) else ():
            if field not in known:
                _refuse(file, name, f"{where}.{field}: there is no such field, but {', '.join(known)}")


def _convert(file: Path, name: str, table: dict[str, Any]) -> Entry:
    if isinstance(shape := table.get("shape"), dict):
        table = {**table, "shape": {"native_context": table.get("native_context", 0), **shape}}
    try:
        return msgspec.convert({**table, "name": name}, Entry)
    except msgspec.ValidationError as error:
        text, where = str(error), _WHERE.search(str(error))
        _refuse(file, name, f"{where[1]}: {text[: where.start()]}" if where else text)


def _settle_names(entries: list[Entry], origin: Mapping[str, Path], claiming: Collection[str]) -> tuple[Entry, ...]:
    """A name or alias that the owner gives is the owner's model's: a model of the package loses such an alias.
    ``claiming`` are the names of models whose aliases the owner gave."""
    names = {entry.name.casefold(): entry.name for entry in entries}
    taken = {entry.name.casefold(): entry.name for entry in entries if origin[entry.name] != CATALOGUE_FILE}
    for entry in entries:
        for alias in map(str.casefold, entry.aliases if entry.name in claiming else ()):
            if names.get(alias, entry.name) != entry.name or taken.setdefault(alias, entry.name) != entry.name:
                _refuse(origin[entry.name], entry.name, f"aliases: {alias!r} is another model's")
    settled = []
    for entry in entries:
        kept = tuple(alias for alias in entry.aliases if taken.get(alias.casefold(), entry.name) == entry.name)
        settled.append(entry if kept == entry.aliases else msgspec.structs.replace(entry, aliases=kept))
    return tuple(settled)


def _check_shape(shape: ModelShape) -> None:
    groups: tuple[KvGroup | Recurrent, ...] = (*shape.kv, *((shape.recurrent,) if shape.recurrent else ()))
    for part in (shape, *groups):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, int) and value < 0 and field.name != "embedding_kind":
                raise ValueError(f"shape: {field.name} is below 0")
    least = [number for group in shape.kv for number in (group.layers, group.kv_heads, group.key_length)]
    if min(shape.layers, shape.embedding, shape.vocabulary, shape.heads, *least) < 1:
        raise ValueError("shape: layers, embedding, vocabulary, heads, kv_heads and key_length are at least 1")
    if sum(group.layers for group in groups) > shape.layers:
        raise ValueError("shape: kv and recurrent have more layers than the model")
    if shape.layers > MOST_LAYERS:
        raise ValueError(f"shape: layers is above {MOST_LAYERS:,}")
    if shape.experts_used > shape.experts:
        raise ValueError("shape: experts_used is above experts")


def _key_of(quant: object, form: object) -> tuple[str, str]:
    return str(quant).casefold(), str(form)


def _refuse(file: Path, name: str, why: str) -> NoReturn:
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in why)
    raise SettingsError(f"{file}, model {name!r}, {plain}", f"mend or remove {file}")
