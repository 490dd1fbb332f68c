"""Decides which build of the engine a machine gets, or why not. Pure.

The tables are those of the engine's own documentation for version 2026.10.11549 ("CUDA GPU Architecture Coverage",
"ROCm (HIP) GPU Architecture Coverage", "Prerequisites for Prebuilt Wheels"): they belong to the pinned version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.runtime.builds.facts import Card, Facts

Kind = Literal["cuda", "rocm", "vulkan", "native", "own"]
KINDS: tuple[Kind, ...] = ("cuda", "rocm", "vulkan", "native")
"""Those that one can ask for by a flag; ``own`` is whatever an index of the owner has."""

DEVICES = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan"}
"""How the engine's names of the cards begin."""

INDEX = "https://xorbitsai.github.io/xllamacpp/whl/"
"""Where the engine's makers put the wheels for graphics cards; a toolkit's name follows."""

_LEAST_GLIBC = (2, 35)
_WIDER_THAN_THE_WHEEL = ("avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve")
"""Instruction sets that the wheels for processors leave unused."""
_OF_THE_WHEEL = frozenset({"avx2", "fma", "f16c", "bmi2"})
"""Those that its x86-64 wheel is built with."""


@dataclass(frozen=True, slots=True)
class Toolkit:
    """CUDA wheels of one toolkit. ``native`` are the compute capabilities with machine code; any other from ``least``
    on is translated by the driver at the first start, which needs one at least as new as the toolkit."""

    name: str
    version: tuple[int, int]
    least_driver: tuple[int, int]
    least: tuple[int, int]
    native: frozenset[tuple[int, int]]


CUDA = (
    Toolkit("cu132", (13, 2), (13, 0), (7, 5), frozenset({(7, 5), (8, 6), (8, 9), (12, 0), (12, 1)})),
    Toolkit("cu128", (12, 8), (12, 0), (5, 0), frozenset({(8, 6), (8, 9), (12, 0)})),
)
"""The newer first. A driver runs programs of the same major version of CUDA (NVIDIA: "Minor Version Compatibility")."""

_RDNA_2_AND_3 = frozenset({"gfx1030", "gfx1031", "gfx1032", "gfx1100", "gfx1101", "gfx1102"})
ROCM = {
    7: ("rocm-7.2.4", _RDNA_2_AND_3 | {"gfx1150", "gfx1151", "gfx1200", "gfx1201", "gfx950"}),
    6: ("rocm-6.4.1", _RDNA_2_AND_3),
}
"""By the major version of ROCm on the machine: the wheels, and the chips that they have code for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A build that should run here, and why. ``toolkit`` is the last part of its index (``cu128``); empty for one from
    source or from an index of the owner."""

    kind: Kind
    because: str
    toolkit: str = ""

    @property
    def index_url(self) -> str:
        """Where its wheel is; empty for one from source."""
        return INDEX + self.toolkit if self.toolkit else ""

    @property
    def device(self) -> str:
        """How the names of its cards begin; empty for the processor."""
        return DEVICES.get(self.kind, "")

    def name(self, version: str) -> str:
        """What the build is called: ``cuda-12.8-2026.10.11549``."""
        label = {toolkit.name: ".".join(map(str, toolkit.version)) for toolkit in CUDA}.get(self.toolkit)
        label = label or self.toolkit.removeprefix("rocm-").removeprefix("vulkan")
        return "-".join(filter(None, (self.kind, label, version)))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no build of this kind can run here, and the way out."""

    why: str
    way_out: str


def choose_build(facts: Facts, asked: Kind | None = None) -> Choice | Refusal:
    """The build of the kind that is asked for; without one, the best for the cards, else for the processor."""
    match asked:
        case "cuda":
            return _cuda(facts)
        case "rocm":
            return _rocm(facts)
        case "vulkan":
            return _vulkan(facts)
        case "native":
            return _native(facts)
        case "own":
            return Choice("own", "you named the index")
    return _best(facts)


def _best(facts: Facts) -> Choice | Refusal:
    if facts.system == "darwin":
        return _native(facts)
    if not facts.cards:
        if _wider(facts) or _narrower(facts):
            return _native(facts)
        return Refusal(
            "there is no graphics card, and the build in the package uses all instructions of this processor",
            "nothing needs to be installed; hearth engine install --native builds one all the same",
        )
    tries = {"nvidia": (_cuda, _vulkan), "amd": (_rocm, _vulkan)}.get(facts.cards[0].vendor, (_vulkan,))
    answers = [attempt(facts) for attempt in tries]
    chosen = next((answer for answer in answers if isinstance(answer, Choice)), None)
    first = answers[0]
    if chosen is None or not isinstance(first, Refusal):
        return chosen or first
    return Choice(chosen.kind, f"{chosen.because}; {first.why}", chosen.toolkit)


def _cuda(facts: Facts) -> Choice | Refusal:
    cards = [card for card in facts.cards if card.vendor == "nvidia"]
    if problem := _wheels_at_all(facts, cards, "NVIDIA", ("x86_64", "aarch64")):
        return problem
    driver = min((card.cuda for card in cards if card.cuda), default=None)
    refused = []
    for toolkit in CUDA:
        trouble = next((text for card in cards if (text := _unfit(card, toolkit, driver))), "")
        if not trouble:
            told = f"driver with CUDA {_dotted(driver)}" if driver else "driver that does not tell its CUDA"
            how = "machine code" if all(card.capability in toolkit.native for card in cards) else "translated at start"
            return Choice("cuda", f"{_names(cards)}, {told}: CUDA {_dotted(toolkit.version)}, {how}", toolkit.name)
        refused.append(trouble)
    fix = "update NVIDIA's driver (580 or later), leave a card out with CUDA_VISIBLE_DEVICES, or try --vulkan"
    return Refusal("; ".join(dict.fromkeys(refused)), fix)


def _unfit(card: Card, toolkit: Toolkit, driver: tuple[int, int] | None) -> str:
    """Why the wheels of this toolkit do not run on this card; empty when they should."""
    wheel = f"the CUDA {_dotted(toolkit.version)} wheel"
    if card.capability is not None and card.capability < toolkit.least:
        return f"{card.name} has compute capability {_dotted(card.capability)}, {wheel} begins at " + _dotted(
            toolkit.least
        )
    translated = card.capability not in toolkit.native
    needed = toolkit.version if translated else toolkit.least_driver
    # A driver that does not tell its version gets the older toolkit, and the check has the last word.
    if driver is None:
        return "" if toolkit is CUDA[-1] else "the driver does not tell its CUDA version"
    if driver < needed:
        because = f" to translate its code for {card.name}" if translated else ""
        return f"{wheel} needs a driver with CUDA {_dotted(needed)}{because}, this one has {_dotted(driver)}"
    return ""


def _rocm(facts: Facts) -> Choice | Refusal:
    cards = [card for card in facts.cards if card.vendor == "amd"]
    if problem := _wheels_at_all(facts, cards, "AMD", ("x86_64",)):
        return problem
    version = next((card.rocm for card in cards if card.rocm), None)
    if version is None:
        return Refusal("ROCm is not installed (/opt/rocm/.info/version)", "install ROCm 7 or 6.4, or try --vulkan")
    if version[0] not in ROCM or version < (6, 4):
        why = f"there are wheels for ROCm 6.4 and 7, not for {_dotted(version)}"
        return Refusal(why, "install ROCm 7 or 6.4, or try --vulkan")
    toolkit, known = ROCM[version[0]]
    if facts.gfx and not known & set(facts.gfx):
        newer = ROCM[7][1] & set(facts.gfx)
        fix = "install ROCm 7, whose wheel has it" if newer else "try --vulkan"
        return Refusal(f"{_names(cards)} is {', '.join(facts.gfx)}: the {toolkit} wheel has no code for it", fix)
    left = sorted(set(facts.gfx) - known)
    note = f"; hide {', '.join(left)} with ROCR_VISIBLE_DEVICES if it does not load" if left else ""
    kind = ", ".join(facts.gfx) or "of a kind that is not told"
    return Choice("rocm", f"{_names(cards)} ({kind}), ROCm {_dotted(version)}{note}", toolkit)


def _vulkan(facts: Facts) -> Choice | Refusal:
    if problem := _wheels_at_all(facts, list(facts.cards), "", ("x86_64", "aarch64"), glibc=False):
        return problem
    if not facts.vulkan:
        return Refusal("the Vulkan loader (libvulkan.so.1) is not there", "install it: libvulkan1 or vulkan-loader")
    return Choice("vulkan", f"{_names(facts.cards)} through Vulkan", "vulkan")


def _native(facts: Facts) -> Choice | Refusal:
    if facts.system == "darwin":
        why = "on macOS the build in the package is made for this processor and its graphics already"
        return Refusal(why, "nothing needs to be installed")
    if facts.missing_tools:
        return Refusal(
            f"a build from source needs programs that are not there: {', '.join(facts.missing_tools)}",
            "install a C++ compiler, cmake and make with the system's package manager",
        )
    wider = ", ".join(_wider(facts))
    return Choice("native", f"built here for this processor{f' ({wider})' if wider else ''}")


def _wider(facts: Facts) -> list[str]:
    """Instruction sets of this processor that the build in the package leaves unused."""
    return [feature for feature in _WIDER_THAN_THE_WHEEL if feature in facts.features]


def _narrower(facts: Facts) -> bool:
    """Whether the build in the package cannot run: it asks for more than this processor has."""
    told = facts.processor == "x86_64" and bool(facts.features)
    return told and not set(facts.features) >= _OF_THE_WHEEL


def _wheels_at_all(
    facts: Facts, cards: list[Card], vendor: str, processors: tuple[str, ...], *, glibc: bool = True
) -> Refusal | None:
    """What stands against every wheel of a kind, whatever the card."""
    if facts.system != "linux":
        return Refusal(f"there are no such wheels for {facts.system}", "stay with the build in the package")
    if facts.processor not in processors:
        return Refusal(f"there are no such wheels for {facts.processor}", "build one: hearth engine install --native")
    if not cards:
        return Refusal(f"no {vendor}{' ' if vendor else ''}graphics card is found", "run: hearth doctor")
    if facts.glibc is None or (glibc and facts.glibc < _LEAST_GLIBC):
        has = f"glibc {_dotted(facts.glibc)}" if facts.glibc else "another C library"
        fix = "try --vulkan, or update the system" if facts.glibc else "build one: hearth engine install --native"
        return Refusal(f"these wheels need glibc {_dotted(_LEAST_GLIBC)} or later, this system has {has}", fix)
    return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _names(cards: tuple[Card, ...] | list[Card]) -> str:
    return ", ".join(dict.fromkeys(card.name for card in cards))
