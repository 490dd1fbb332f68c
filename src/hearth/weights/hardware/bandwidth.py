"""How fast well-known cards and chips read their memory, by name: what decoding speed follows from.

Figures are GB/s (10^9) of the makers' data sheets and product pages: nvidia.com (GeForce, RTX, data center; older cards
by their width and rate, as in the "List of Nvidia graphics processing units" of Wikipedia), amd.com (Radeon, Instinct,
Ryzen AI Max), intel.com (Arc), support.apple.com (technical specifications). A card that is not listed is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

GB = 10**9

_TABLE = """
rtx 5090 1792 | rtx 5080 960 | rtx 5070 ti 896 | rtx 5070 672 | rtx 5060 ti 448 | rtx 5060 448 | rtx 5050 320
rtx 5090 laptop 896 | rtx 5080 laptop 896 | rtx 5070 ti laptop 672 | rtx 5070 laptop 384
rtx 5090 d 1792 | rtx 4090 d 1008
rtx 4090 1008 | rtx 4080 super 736 | rtx 4080 717 | rtx 4070 ti super 672 | rtx 4070 ti 504 | rtx 4070 super 504
rtx 4070 504 | rtx 4060 ti 288 | rtx 4060 272
rtx 4090 laptop 576 | rtx 4080 laptop 432 | rtx 4070 laptop 256 | rtx 4060 laptop 256
rtx 3090 ti 1008 | rtx 3090 936 | rtx 3080 ti 912 | rtx 3080 @10 760 | rtx 3080 @12 912 | rtx 3070 ti 608 | rtx 3070 448
rtx 3060 ti 448 | rtx 3060 @12 360 | rtx 3060 @8 240 | rtx 3050 @8 224 | rtx 3050 @6 168
rtx 3080 ti laptop 512 | rtx 3080 laptop 448 | rtx 3070 laptop 448 | rtx 3060 laptop 336
rtx 2080 ti 616 | rtx 2080 super 496 | rtx 2080 448 | rtx 2070 super 448 | rtx 2070 448 | rtx 2060 super 448
rtx 2060 336 | titan rtx 672 | titan v 653 | titan xp 548
gtx 1080 ti 484 | gtx 1080 320 | gtx 1070 ti 256 | gtx 1070 256 | gtx 1060 192 | gtx 1660 super 336 | gtx 1660 ti 288
gtx 1660 192
rtx pro 6000 blackwell 1792 | rtx pro 6000 blackwell max-q 1792 | rtx pro 5000 blackwell 1344
rtx pro 4500 blackwell 896 | rtx pro 4000 blackwell 672
rtx 6000 ada 960 | rtx 5000 ada 576 | rtx 4500 ada 432 | rtx 4000 ada 360 | rtx 4000 sff ada 280
rtx a6000 768 | rtx a5500 768 | rtx a5000 768 | rtx a4500 640 | rtx a4000 448 | rtx a2000 288
quadro rtx 8000 672 | quadro rtx 6000 672 | quadro rtx 5000 448
b200 7700 | b300 8000 | gb200 8000 | gb300 8000 | h200 4800 | h200 nvl 4800 | h20 4000 | h100 nvl 3938
h100 pcie 2000 | h100 3350
gh200 @96 4000 | gh200 @144 4900 | a100 @40 1555 | a100 pcie @80 1935 | a100 @80 2039 | a40 696 | a30 933 | a16 200
a10 600 | a10g 600 | a2 200 | l40s 864 | l40 864 | l4 300 | t4 320 | v100 900 | v100s 1134
p100 @16 732 | p40 346 | m40 288
gb10 273 | thor 273 | orin @64 205 | orin @32 205
rx 9070 xt 640 | rx 9070 640 | rx 9060 xt 320 | ai pro r9700 640
rx 7900 xtx 960 | rx 7900 xt 800 | rx 7900 gre 576 | rx 7800 xt 624 | rx 7700 xt 432 | rx 7600 xt 288 | rx 7600 288
rx 6950 xt 576 | rx 6900 xt 512 | rx 6800 xt 512 | rx 6800 512 | rx 6750 xt 432 | rx 6700 xt 384 | rx 6650 xt 280
rx 6600 xt 256 | rx 6600 224 | radeon vii 1024 | rx vega 64 484 | rx vega 56 410 | rx 5700 xt 448
rx 5700 448 | rx 580 256
pro w7900 864 | pro w7800 576 | pro w6800 512 | 8060s 256 | 8050s 256
mi50 1024 | mi60 1024 | mi100 1229 | mi210 1638 | mi250 3277 | mi250x 3277 | mi300x 5300 | mi300a 5300 | mi325x 6000
mi350x 8000 | mi355x 8000
arc a770 @16 560 | arc a770 @8 512 | arc a750 512 | arc a580 512 | arc a380 186 | arc b580 456 | arc b570 380
arc pro b50 224 | arc pro b60 456
apple m1 68 | apple m1 pro 200 | apple m1 max 400 | apple m1 ultra 800
apple m2 100 | apple m2 pro 200 | apple m2 max 400 | apple m2 ultra 800
apple m3 100 | apple m3 pro 150 | apple m3 max #30 300 | apple m3 max #40 400 | apple m3 ultra 819
apple m4 120 | apple m4 pro 273 | apple m4 max #32 410 | apple m4 max #40 546
apple m5 153 | apple m5 pro 307 | apple m5 max #32 460 | apple m5 max #40 614
"""
"""``@16`` holds for a card of 16 GiB only, ``#40`` for a chip with 40 graphics cores only."""

_VARIANTS = {"ti", "super", "laptop", "max-q", "mobile", "xt", "xtx", "gre", "d", "v2", "ada", "pro", "nvl", "sff"}
_VARIANTS |= {"blackwell"}
_APPLE_VARIANTS = {"pro", "max", "ultra"}
_SIZE = re.compile(r"(\d{1,4})g[bi]?b?")


def known_bandwidth(name: str, total_bytes: int = 0, graphics_cores: int = 0) -> float | None:
    """Bytes/s that the memory of this card or chip gives at most; None when it is not in the table.

    The words that tell variants apart (``Ti``, ``Laptop``, ``XT``, ...) must be the same in the name and in the table.
    ``graphics_cores`` tells the two halves of an Apple Max chip apart: without it the slower is taken.
    """
    plain = re.sub(r"\(tm\)|\(r\)", " ", name.lower()).replace("max-q", "maxq").replace("-", " ")
    words = {"max-q" if word == "maxq" else word for word in re.split(r"[^a-z0-9]+", plain) if word}
    variants = _APPLE_VARIANTS if "apple" in words else _VARIANTS
    in_name = next((int(found[1]) for word in sorted(words) if (found := _SIZE.fullmatch(word))), 0)
    # A driver tells a little less than the card's name does.
    size_gib = total_bytes / (1 << 30) or in_name
    fitting = [
        (len(entry.words), entry.bandwidth)
        for entry in _entries()
        if entry.words <= words
        and not (words ^ entry.words) & variants
        and (not entry.memory_gib or entry.memory_gib * 0.9 < size_gib <= entry.memory_gib * 1.05)
        and (not entry.cores or entry.cores == graphics_cores or not graphics_cores)
    ]
    return max(fitting, key=lambda found: (found[0], -found[1]))[1] if fitting else None


@dataclass(frozen=True, slots=True)
class _Entry:
    words: frozenset[str]
    memory_gib: int
    cores: int
    bandwidth: float


@cache
def _entries() -> tuple[_Entry, ...]:
    entries = []
    for written in _TABLE.replace("\n", "|").split("|"):
        *words, speed = written.split() or [""]
        if words:
            marked = {word[0]: int(word[1:]) for word in words if word[0] in "@#"}
            named = frozenset(word for word in words if word[0] not in "@#")
            entries.append(_Entry(named, marked.get("@", 0), marked.get("#", 0), float(speed) * GB))
    return tuple(entries)
