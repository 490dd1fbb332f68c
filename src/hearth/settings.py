"""One frozen settings tree; each value knows where it came from.

Layers, later wins: defaults, ``config.toml``, environment, command line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec

from hearth.errors import SettingsError

Edit = Literal["replace", "multi", "search_replace", "apply_patch", "whole", "lines", "symbol", "hashline"]
"""The forms in which models write changes."""


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the daemon listens, and which endpoint the faces talk to."""

    host: str = "127.0.0.1"
    """TCP address to listen on."""
    port: int = 8888
    """TCP port to listen on; 0 listens on the unix socket alone."""
    url: str = ""
    """Endpoint that the faces use instead of the local daemon (HEARTH_URL)."""
    api_key: str = ""
    """Key for that endpoint (HEARTH_API_KEY)."""
    idle_exit_s: float = 1800.0
    """A daemon that a face started exits after this many idle seconds; 0 never."""


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How engine processes are started."""

    kind: Literal["embedded", "llama_server"] = "embedded"
    """Which engine runs models of this disk: the one in the package, or a llama-server binary."""
    binary: str = ""
    """That binary; empty takes the ``llama-server`` on the PATH."""
    context: int = 0
    """Context in tokens for each request; 0 takes the model's own, bounded by memory."""
    slots: int = 2
    """Parallel sequences."""
    threads: int = 0
    """Threads for decoding; 0 takes the physical cores."""
    memory_gib: float = 0.0
    """RAM that all models together may take, in GiB; 0 takes what is free."""
    idle_unload_s: float = 1800.0
    """A model that nobody asked for so many seconds is unloaded, its conversations saved; 0 never, nor if pinned."""
    load_timeout_s: float = 600.0
    """How long a load may take without any sign of life."""
    stuck_s: float = 20.0
    """Silence within an answer after which an engine that computes nothing is replaced; 0 never."""


class ForeignSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An engine that somebody else runs, as ``[engines.NAME]``. Its models are called ``MODEL@NAME``."""

    kind: Literal["", "ollama", "vllm", "openai"] = ""
    """What it is; ``openai`` is whatever speaks OpenAI's chat completions."""
    url: str = ""
    """Where it answers, without ``/v1``; empty is Ollama's usual place on this machine."""
    api_key: str = ""
    """Its key: as it is, ``env:VARIABLE`` or ``file:PATH``."""
    models: tuple[str, ...] = ()
    """Its models that may be used; empty takes those that it names itself."""
    context: int = 0
    """Tokens for each request; 0 takes the engine's own figure, for Ollama at most 16,384."""
    slots: int = 0
    """Requests that it answers at once; 0 takes the engine's own figure, or what is usual for its kind."""
    timeout_s: float = 600.0
    """How long it may take until a model of it gives its first token."""


class KvSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """KV state on disk."""

    enabled: bool = True
    """Whether conversations' state is saved, and restored."""
    quota_gib: float = 0.0
    """How much disk it may take, in GiB; 0 takes a tenth of the free disk, 50 GiB at most."""
    rest_s: float = 3.0
    """How long a conversation rests before its state is saved."""


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the agent works."""

    max_steps: int = 50
    """Steps in one turn."""
    bash_timeout_s: float = 120.0
    """Default limit for one command."""
    explore: bool = True
    """Whether a sub-agent looks around before a large task in a large project."""
    task_model: str = ""
    """The model of sub-agents, a smaller one; empty takes the session's own."""


class UndoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a project so that turns can be undone."""

    enabled: bool = True
    """Whether the project is kept as it was before each turn that changes something."""
    quota_gib: float = 10.0
    """What the snapshots of all projects may take, in GiB; the oldest go first."""
    leave: tuple[str, ...] = ()
    """Folders that are left out: their names, paths below the project, or whole paths."""
    largest_mib: int = 256
    """A larger file is noticed, and not kept."""


class ProfileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner says of a family of models, or of one model, as ``[profiles.NAME]``; None leaves what is known of
    it (``docs/profiles.md``)."""

    family: str | None = None
    """Treat this model as one of another family."""
    dialect: Literal["chat", "harmony", "text"] | None = None
    """How it is spoken to."""
    tier: Literal["minimal", "standard", "full"] | None = None
    """How much prompt and tools may weigh."""
    edit: Edit | None = None
    """In which form it writes changes."""
    echo: bool | None = None
    """Whether its reasoning goes back to it."""
    parallel: bool | None = None
    """Whether it may make several calls in one step."""
    thinking: int | None = None
    """Tokens that it may think in one answer; 0 has no bound."""
    effort: Literal["", "low", "medium", "high"] | None = None
    """How hard it thinks, where it knows degrees."""
    max_tokens: int | None = None
    """Tokens of one answer."""
    work: float | None = None
    """Share of the window that a session should hold."""
    work_most: int | None = None
    """Tokens that it should hold at most; 0 has no bound."""
    mask: float | None = None
    """Share at which old observations are masked."""
    compact: float | None = None
    """Share at which it is compacted."""
    compact_most: int | None = None
    """Tokens at which it is compacted at the latest; 0 has no bound."""
    temperature: float | None = None
    """Sampling, as the five that follow: sent with every request."""
    top_p: float | None = None
    """The likeliest tokens that together have this probability; 1 takes all."""
    top_k: int | None = None
    """So many of the likeliest tokens; 0 takes all."""
    min_p: float | None = None
    """Tokens at least so likely against the likeliest."""
    repeat_penalty: float | None = None
    """1 has none."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. ``origin`` maps a dotted name to where its value came from; defaults are left out."""

    model: str = "pilot"
    """The model that answers."""
    gateway: GatewaySettings = GatewaySettings()
    engine: EngineSettings = EngineSettings()
    engines: dict[str, ForeignSettings] = msgspec.field(default_factory=dict)
    kv: KvSettings = KvSettings()
    agent: AgentSettings = AgentSettings()
    undo: UndoSettings = UndoSettings()
    profiles: dict[str, ProfileSettings] = msgspec.field(default_factory=dict)
    origin: dict[str, str] = msgspec.field(default_factory=dict)


ENVIRONMENT = {
    "HEARTH_MODEL": "model",
    "HEARTH_URL": "gateway.url",
    "HEARTH_API_KEY": "gateway.api_key",
    "HEARTH_PORT": "gateway.port",
    "HEARTH_IDLE_EXIT": "gateway.idle_exit_s",
    "HEARTH_CONTEXT": "engine.context",
    "HEARTH_SLOTS": "engine.slots",
    "HEARTH_THREADS": "engine.threads",
    "HEARTH_MEMORY": "engine.memory_gib",
    "HEARTH_KV": "kv.enabled",
}
"""Environment variables and the settings that they give."""

_RANGES: dict[str, tuple[float, float]] = {
    "gateway.port": (0, 65535),
    "gateway.idle_exit_s": (0, float("inf")),
    "engine.context": (0, 1 << 24),
    "engine.slots": (1, 64),
    "engine.threads": (0, 1024),
    "engine.memory_gib": (0, 1 << 20),
    "engine.idle_unload_s": (0, float("inf")),
    "engine.load_timeout_s": (1, float("inf")),
    "engine.stuck_s": (0, 86_400),
    "engines.NAME.context": (0, 1 << 24),
    "engines.NAME.slots": (0, 4096),
    "engines.NAME.timeout_s": (1, float("inf")),
    "kv.quota_gib": (0, 1 << 20),
    "kv.rest_s": (0, 86_400),
    "agent.max_steps": (1, 100_000),
    "agent.bash_timeout_s": (0.1, 86_400),
    "undo.quota_gib": (0, 1 << 20),
    "undo.largest_mib": (0, 1024),
    "profiles.NAME.thinking": (0, 1 << 20),
    "profiles.NAME.max_tokens": (256, 1 << 20),
    "profiles.NAME.work": (0.05, 0.95),
    "profiles.NAME.work_most": (0, 1 << 24),
    "profiles.NAME.mask": (0.05, 0.95),
    "profiles.NAME.compact": (0.05, 0.95),
    "profiles.NAME.compact_most": (0, 1 << 24),
    "profiles.NAME.temperature": (0, 2),
    "profiles.NAME.top_p": (0.01, 1),
    "profiles.NAME.top_k": (0, 1 << 20),
    "profiles.NAME.min_p": (0, 1),
    "profiles.NAME.repeat_penalty": (0.1, 2),
}

_CHOSEN: dict[str, type[msgspec.Struct]] = {"engines": ForeignSettings, "profiles": ProfileSettings}
"""Sections whose tables have names that the owner chooses. Those of profiles are models', and may hold dots."""


def load_settings(
    config_file: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the layers into one tree.

    ``flags`` maps dotted names to values given on the command line. Raises SettingsError naming the value's origin.
    """
    values: dict[str, tuple[Any, str]] = {}
    for name, value in _read_file(config_file).items():
        values[name] = (value, str(config_file))
    for variable, name in ENVIRONMENT.items():
        if text := environment.get(variable):
            values[name] = (text, variable)
    for name, value in (flags or {}).items():
        values[name] = (value, "command line")
    tree: dict[str, Any] = {}
    for name, (value, origin) in values.items():
        _place(tree, name, _convert(name, value, origin))
    settings = msgspec.convert(tree, Settings)
    for name, engine in settings.engines.items():
        origins = (origin for key, (_, origin) in values.items() if key.startswith(f"engines.{name}."))
        _check_engine(name, engine, next(origins, "command line"))
    return msgspec.structs.replace(settings, origin={name: origin for name, (_, origin) in values.items()})


def known_names(owner: type[msgspec.Struct] = Settings, prefix: str = "") -> list[str]:
    """The dotted name of every setting, in the order of the tree; ``NAME`` stands for one that the owner chooses."""
    names: list[str] = []
    for field in msgspec.structs.fields(owner):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            names += known_names(field.type, f"{prefix}{field.name}.")
        elif chosen := _CHOSEN.get(field.name) if owner is Settings else None:
            names += known_names(chosen, f"{field.name}.NAME.")
        elif field.name != "origin":
            names.append(prefix + field.name)
    return names


def _read_file(config_file: Path) -> dict[str, Any]:
    try:
        text = config_file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        # A file where a folder of ours should be is told by ``Paths.ensure``, which names what mends it.
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {config_file}: {error}", f"mend or remove {config_file}") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config_file} is not TOML: {error}", f"mend or remove {config_file}") from error
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": deep for inner, deep in value.items()})
        else:
            flat[key] = value
    for name, value in list(flat.items()):
        if re.fullmatch(r"engines\.[^.]+", name) and value and isinstance(value, dict):
            del flat[name]
            flat.update({f"{name}.{inner}": deep for inner, deep in value.items()})
        elif re.fullmatch(r"engines\.[^.]+", name) and value == {}:
            # An engine of which nothing is said: what it lacks is told, not that its name is unknown.
            flat[f"{name}.kind"] = flat.pop(name) or ""
        elif name.startswith("profiles.") and isinstance(value, dict):
            del flat[name]
            flat.update({f"{name}.{inner}": deep for inner, deep in value.items()})
    return flat


def _check_engine(name: str, engine: ForeignSettings, origin: str) -> None:
    """Raise SettingsError when there is not enough said of it."""
    where = f"setting engines.{name}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name):
        raise SettingsError(
            f"{where} from {origin}: the name must be of a-z, 0-9, - and _, 32 at most", "give it another"
        )
    if not engine.kind:
        raise SettingsError(f"{where} from {origin} lacks its kind", f"set engines.{name}.kind: ollama, vllm or openai")
    if not engine.url and engine.kind != "ollama":
        raise SettingsError(f"{where} from {origin} lacks its url", f"set engines.{name}.url")
    if engine.url and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", engine.url):
        raise SettingsError(
            f"{where}.url = {engine.url!r} from {origin}: must be http:// or https://, without @, ? and #",
            f"give engines.{name}.url another value",
        )


def _convert(name: str, value: Any, origin: str) -> Any:
    *sections, leaf = _split(name)
    owner: Any = Settings
    for index, part in enumerate(sections):
        owner = _CHOSEN[sections[0]] if index == 1 and sections[0] in _CHOSEN else _field_type(owner, part)
    kinds = ".".join([sections[0], "NAME", leaf]) if len(sections) == 2 and sections[0] in _CHOSEN else name
    kind = _field_type(owner, leaf) if owner is not None and name != "origin" else None
    if kind is None:
        raise SettingsError(f"unknown setting {name!r} in {origin}", f"the settings are: {', '.join(known_names())}")
    fix = f"give {origin if origin in ENVIRONMENT else name} another value"
    try:
        converted = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"setting {name} = {value!r} from {origin}: must be {_wanted(kind)}", fix) from error
    texts = converted if isinstance(converted, tuple) else (converted,)
    if any(isinstance(text, str) and not text.isprintable() for text in texts):
        raise SettingsError(f"setting {name} = {value!r} from {origin}: must be plain text on one line", fix)
    low, high = _RANGES.get(kinds, (float("-inf"), float("inf")))
    if isinstance(converted, int | float) and not low <= converted <= high:
        limits = f"{low:g} or more" if high == float("inf") else f"from {low:g} to {high:.9g}"
        raise SettingsError(f"setting {name} = {value!r} from {origin}: must be {limits}", fix)
    return converted


def _split(name: str) -> list[str]:
    """A dotted name in its parts. Of a profile's the middle is one, whatever dots it has."""
    first, *rest = name.split(".")
    if first == "profiles" and len(rest) > 1:
        return [first, ".".join(rest[:-1]), rest[-1]]
    return [first, *rest]


def _wanted(kind: Any) -> str:
    """A type in words."""
    if NoneType in get_args(kind):
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"one of {', '.join(filter(None, get_args(kind)))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return words.get(kind) or ("a list of texts" if get_origin(kind) is tuple else "a table")


def _field_type(owner: Any, name: str) -> Any:
    if not (isinstance(owner, type) and issubclass(owner, msgspec.Struct)):
        return None
    for field in msgspec.structs.fields(owner):
        if field.name == name:
            return field.type
    return None


def _place(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, leaf = _split(name)
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[leaf] = value
