"""What the package knows of model families: ``profiles.toml``, read once and checked; of which family a model is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from hearth.errors import SettingsError
from hearth.settings import Edit

Dialect = Literal["chat", "harmony", "text"]
Tier = Literal["minimal", "standard", "full"]
EditFormat = Edit
Place = Literal["template", "system"]

Found = TypeVar("Found")

PROFILES_FILE = Path(__file__).with_name("profiles.toml")
GENERIC = "standard"
"""The family of every model that we know nothing of."""

_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Tokens = Annotated[int, msgspec.Meta(ge=0)]
_Bound = Annotated[int, msgspec.Meta(ge=256)]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How tokens are drawn: all five, because a server's own defaults are not the vendor's. 0 and 1.0 switch off
    ``top_k``, ``min_p`` and ``repeat_penalty``."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)]
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)]
    top_k: Annotated[int, msgspec.Meta(ge=0)]
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)]
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0, le=2)]


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one table says; None is left to the table below it. See ``llm.profile.Profile`` for the fields."""

    dialect: Dialect | None = None
    tier: Tier | None = None
    edit: EditFormat | None = None
    echo: bool | None = None
    parallel: bool | None = None
    thinking: _Tokens | None = None
    effort: Literal["", "low", "medium", "high"] | None = None
    max_tokens: _Bound | None = None
    sampling: Sampling | None = None
    names: dict[str, str] | None = None
    work: _Share | None = None
    work_most: _Tokens | None = None
    mask: _Share | None = None
    compact: _Share | None = None
    compact_most: _Tokens | None = None


class Variant(Known, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is otherwise with some of a family: those whose name fits a pattern."""

    models: tuple[str, ...]


class Family(Known, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One family: patterns of its names, groups of markers of its templates, what is otherwise with some of it."""

    models: tuple[str, ...]
    templates: tuple[Annotated[tuple[str, ...], msgspec.Meta(min_length=1)], ...] = ()
    variants: tuple[Variant, ...] = ()


class Editing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form of edits: the tools for it (``as_text``: in the text protocol, where they are others), its line in the
    system text, and the form in its place in a minimal one."""

    tools: tuple[str, ...]
    text: str
    as_text: tuple[str, ...] = ()
    minimal: EditFormat | None = None


class Knowledge(msgspec.Struct, frozen=True):
    """All of the file. ``tools`` are those of each tier, ``brief`` what a minimal prompt tells of some, ``edits`` the
    forms of edits."""

    defaults: Known
    families: dict[str, Family]
    tools: dict[str, tuple[str, ...]]
    brief: dict[str, str]
    edits: dict[str, Editing]


def parse_families(text: str, name: str) -> Knowledge:
    """Read the file's text. Raises SettingsError naming the file, the table and the key."""
    fix = f"mend {name}, or install hearth again"
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not TOML: {error}", fix) from error
    defaults = _convert(tree.pop("defaults", {}), Known, f"{name}: [defaults]", fix)
    if missing := [field for field in Known.__struct_fields__ if getattr(defaults, field) is None]:
        raise SettingsError(f"{name}: [defaults] lacks {missing[0]}", fix)
    tools = _convert(tree.pop("tools", {}), dict[str, tuple[str, ...]], f"{name}: [tools]", fix)
    _check_names(tools, Tier, f"{name}: [tools]", fix)
    brief = _convert(tree.pop("brief", {}), dict[str, str], f"{name}: [brief]", fix)
    forms = tree.pop("edits", {})
    _check_names(forms, EditFormat, f"{name}: [edits]", fix)
    edits = {form: _convert(table, Editing, f"{name}: [edits.{form}]", fix) for form, table in forms.items()}
    families = {family: _convert(table, Family, f"{name}: [{family}]", fix) for family, table in tree.items()}
    if GENERIC not in families:
        raise SettingsError(f"{name}: there is no table {GENERIC}", fix)
    return Knowledge(defaults, families, tools, brief, edits)


def _convert(table: object, kind: type[Found], where: str, fix: str) -> Found:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {str(error).replace('`$.', '`')}", fix) from error


def _check_names(given: Iterable[str], wanted: Any, where: str, fix: str) -> None:
    names = set(get_args(wanted))
    if wrong := names.symmetric_difference(given):
        word = "lacks" if (first := sorted(wrong)[0]) in names else "knows no"
        raise SettingsError(f"{where} {word} {first}", fix)


@cache
def knowledge() -> Knowledge:
    """What the package knows; the file is read once."""
    return parse_families(PROFILES_FILE.read_text(encoding="utf-8"), PROFILES_FILE.name)


def find_family(model: str, template: str, known: Knowledge) -> str:
    """The family of a model, by its name, else by what its chat template holds (the text itself, or the markers that
    a gateway found in it), else the generic one."""
    plain = plain_name(model)
    for name, family in known.families.items():
        if _fits(plain, family.models):
            return name
    best, most = GENERIC, 0
    for name, family in known.families.items():
        fitting = [len(group) for group in family.templates if all(marker in template for marker in group)]
        if fitting and max(fitting) > most:
            best, most = name, max(fitting)
    return best


def settle(family: str, model: str, known: Knowledge) -> dict[str, Any]:
    """Every field that the package says of a model: the defaults, the family's, those of its variants that fit."""
    table = known.families[family]
    plain = plain_name(model)
    whole: dict[str, Any] = {}
    for layer in (known.defaults, table, *(each for each in table.variants if _fits(plain, each.models))):
        whole.update(_said(layer))
    return whole


def plain_name(model: str) -> str:
    """A name as the patterns have it: ``unsloth/Qwen3.6-27B_Q4.gguf`` and ``qwen3.6:27b@shop`` begin with
    ``qwen3.6-27b``."""
    last = model.rstrip("/").rsplit("/", 1)[-1]
    last = last.rpartition("@")[0] or last
    return re.sub(r"[:_\s]+", "-", last.lower().removesuffix(".gguf"))


def _fits(plain: str, patterns: Iterable[str]) -> bool:
    return any(fits(plain, pattern) for pattern in patterns)


def fits(plain: str, pattern: str) -> bool:
    """Whether a name is one of a pattern's, as ``fnmatchcase`` says; most are told by the words in it that are not in
    the name, for making an expression of every pattern took longer than reading the whole file."""
    return all(word in plain for word in _WILD.split(pattern)) and fnmatchcase(plain, pattern)


def _said(layer: Known) -> dict[str, Any]:
    """The fields that a table names, the sampling as a mapping."""
    fields = {name: getattr(layer, name) for name in Known.__struct_fields__}
    told = {name: value for name, value in fields.items() if value is not None}
    if layer.sampling:
        told["sampling"] = msgspec.structs.asdict(layer.sampling)
    return told


_WILD = re.compile(r"[*?]+|\[!?\]?[^]]*\]")
"""What a pattern does not say word for word."""
