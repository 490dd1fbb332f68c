"""What a llama-server binary can do, read from what it prints, and its command line for one launch. Pure.

Names of flags have changed over the years, and how they are meant. What a build does not have is left out and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from hearth.runtime.launch import Launch, host_experts

_VERSION = re.compile(r"^version: *(\S.*)$", re.MULTILINE)
_NAMES = re.compile(r"(?:--?[A-Za-z][\w-]*,? *)+")
_NAME = re.compile(r"--?[A-Za-z][\w-]*")
_ALL_LAYERS = 9999
"""Layers for the cards: more than any model has. Builds before 2026 know no word for all of them."""
_KEY_VARIABLE = "LLAMA_API_KEY"


class LlamaBuild(msgspec.Struct, frozen=True):
    """One binary: its version as it prints it, and its flags, each with what its help says of it."""

    version: str
    flags: dict[str, str]

    def has(self, flag: str) -> bool:
        """Whether it knows this flag."""
        return "has been removed" not in self.flags.get(flag, "has been removed")

    @property
    def takes_unix_sockets(self) -> bool:
        """Whether it can listen on a unix socket."""
        return "unix socket" in self.flags.get("--host", "").lower()

    @property
    def takes_keys(self) -> bool:
        """Whether it reads its key from the environment."""
        return _KEY_VARIABLE in self.flags.get("--api-key", "")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Arguments for a launch. ``launch`` is what really comes of it; ``missing`` says in words what had to be left
    out."""

    arguments: tuple[str, ...]
    launch: Launch
    missing: tuple[str, ...]


def read_build(version_text: str, help_text: str) -> LlamaBuild | None:
    """What ``--version`` and ``--help`` print; None when that is no llama-server."""
    version = _VERSION.search(version_text)
    flags = _read_flags(help_text)
    if version is None or "--ctx-size" not in flags or "--parallel" not in flags:
        return None
    return LlamaBuild(version[1].strip(), flags)


def _read_flags(help_text: str) -> dict[str, str]:
    flags: dict[str, str] = {}
    names: list[str] = []
    for line in help_text.splitlines():
        # Names begin in the first columns; what is said of them goes on far to the right.
        head = _NAMES.match(line.lstrip(" ")) if len(line) - len(line.lstrip(" ")) < 8 else None
        if head is not None:
            names = _NAME.findall(head[0])
            said = line.lstrip(" ")[head.end() :]
        else:
            said = line.strip()
        for name in names:
            flags[name] = f"{flags.get(name, '')} {said}".strip()
    return flags


def write_command(
    build: LlamaBuild, launch: Launch, *, model: str, name: str, host: str, port: int, slot_folder: str
) -> CommandLine:
    """The arguments by which this build runs ``launch``. Without ``host`` a unix socket at ``host`` that ends with
    ``.sock`` no port is given; ``slot_folder`` is empty when no states are saved."""
    # Without a share of its own for each slot, one that grows ends its neighbours: then the pool is split.
    shares = build.has("--kv-unified-per-slot") and build.has("--kv-unified")
    real = launch if shares else msgspec.structs.replace(launch, spare=False)
    missing: list[str] = []
    arguments = ["--model", model, "--host", host]
    if not host.endswith(".sock"):
        arguments += ["--port", str(port)]
    for wish in (
        *_sizes(real, shares),
        *_speed(build, real),
        *_placement(real),
        *_cache(build, real, slot_folder),
        *_house(build, name),
    ):
        found = next((flag for flag in wish.flags if build.has(flag)), None)
        if found is not None:
            arguments += [found, *wish.values]
        elif wish.told:
            missing.append(wish.told)
    return CommandLine(tuple(arguments), real, tuple(missing))


@dataclass(frozen=True, slots=True)
class _Wish:
    """A flag by one of its names, newest first. ``told`` is what is said when it is not there; empty when nobody needs
    to know."""

    flags: Sequence[str]
    values: Sequence[str] = ()
    told: str = ""


def _sizes(launch: Launch, shares: bool) -> Iterator[_Wish]:
    yield _Wish(("--ctx-size",), [str(launch.pool)])
    yield _Wish(("--parallel",), [str(launch.all_slots)])
    if shares:
        yield _Wish(("--kv-unified",))
        yield _Wish(("--kv-unified-per-slot",), [str(launch.context)])
    else:
        yield _Wish(("--no-kv-unified",))
    yield _Wish(("--batch-size",), [str(launch.batch)])
    yield _Wish(("--ubatch-size",), [str(min(launch.micro_batch, launch.batch))])


def _speed(build: LlamaBuild, launch: Launch) -> Iterator[_Wish]:
    if launch.threads:
        yield _Wish(("--threads",), [str(launch.threads)])
    if threads := launch.batch_threads or launch.threads:
        yield _Wish(("--threads-batch",), [str(threads)])
    # Until 2025 it was a switch, off unless given.
    if "on|off" in build.flags.get("--flash-attn", ""):
        yield _Wish(("--flash-attn",), [launch.flash])
    elif launch.flash == "on":
        yield _Wish(("--flash-attn",), told="flash attention")
    if launch.speculation != "none":
        known = launch.speculation in build.flags.get("--spec-type", "")
        yield _Wish(("--spec-type",) if known else (), [launch.speculation], f"speculation by {launch.speculation}")


def _placement(launch: Launch) -> Iterator[_Wish]:
    # See ``worker``: what does not fit is to be told.
    yield _Wish(("--fit",), ["off"])
    layers = _ALL_LAYERS if launch.gpu_layers < 0 else launch.gpu_layers
    yield _Wish(("--n-gpu-layers",), [str(layers)])
    if launch.tensor_split:
        shares = ",".join(f"{share:g}" for share in launch.tensor_split)
        yield _Wish(("--tensor-split",), [shares], "shares of the cards")
    if launch.host_expert_layers:
        yield _Wish(("--override-tensor",), [host_experts(launch.host_expert_layers)], "experts in the RAM")


def _cache(build: LlamaBuild, launch: Launch, slot_folder: str) -> Iterator[_Wish]:
    if launch.kv_type != "f16":
        for flag in ("--cache-type-k", "--cache-type-v"):
            yield _Wish((flag,), [launch.kv_type], f"a {launch.kv_type} cache")
    yield _Wish(("--ctx-checkpoints", "--swa-checkpoints"), [str(launch.checkpoints)])
    yield _Wish(("--checkpoint-min-step",), [str(launch.checkpoint_step)])
    if launch.cache_reuse:
        yield _Wish(("--cache-reuse",), [str(launch.cache_reuse)], "moved pieces of the cache")
    yield _Wish(("--cache-ram",), [str(launch.cache_ram_mib)])
    # It would cut a long conversation without a word.
    yield _Wish(("--no-context-shift",))
    if slot_folder:
        yield _Wish(("--slot-save-path",), [slot_folder.rstrip("/") + "/"], "saved states")
        if build.has("--cache-ram"):
            yield _Wish(("--no-cache-idle-slots",), told="states saved of slots that a new request empties")


def _house(build: LlamaBuild, name: str) -> Iterator[_Wish]:
    yield _Wish(("--alias",), [name])
    yield _Wish(("--jinja",))
    yield _Wish(("--offline",))
    yield _Wish(("--no-ui", "--no-webui"))
    yield _Wish(("--slots",), told="a look at what it does")
    yield _Wish(("--metrics",))
    # Where levels have names, this one tells the sizes of buffers. In older builds it would log prompts.
    if "4: trace" in build.flags.get("--verbosity", ""):
        yield _Wish(("--verbosity",), ["4"])
