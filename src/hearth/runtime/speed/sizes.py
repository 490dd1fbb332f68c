"""How much is measured, such that the time suffices: a slow model gets shorter prompts and fewer candidates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hearth.runtime.speed.grid import Factor

ROUNDS = 3
"""Times that each of two is measured, in turn."""
SEARCH_SHARE = 0.6
"""Of the time; the rest is for what is reported at last."""
LEAST_READ, MOST_READ = 256, 2048
"""Tokens of a prompt in the search: with fewer no difference shows."""
LEAST_MADE, MOST_MADE = 16, 64
COPIED = 160
"""Tokens of an answer that repeats its prompt: guessing from the prompt begins after 24 of them (llama.cpp's ngram-mod)
and pays from then on."""
COPY_PROMPT = 450
"""Tokens, about, of the prompt that is repeated."""
DEPTHS = (512, 2048, 8192)
"""Tokens before what is measured in the report."""
NO_TIME = "no time for it"
"""Why a candidate is left out that would be tried with more."""
_SHALLOW = (256, 128, 64)
PROMPTS = (4096, 2048, 1024, 512, 256, 128, 64)
"""Tokens of the prompt whose first token is waited for; the first that fits is taken."""
MESSAGE = 32
"""Tokens of a short further message."""
_SLOWER_DEEP = 1.4
"""How much longer a long prompt takes than its beginning promises."""
_WALK_SHARE = 0.6
"""Of the report's time, what the depths may take."""
_BESIDE_LOAD_S = 0.5
"""What a candidate costs beside its load and its rounds, in seconds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A first look at a model: seconds of its load, tokens a second."""

    load_s: float
    prefill_per_s: float
    decode_per_s: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens that are read and made for one measurement of the search; ``copied`` of an answer that repeats its prompt,
    0 where that takes too long. ``candidates`` is how many can be tried."""

    read: int
    make: int
    copied: int
    candidates: int


@dataclass(frozen=True, slots=True)
class Reach:
    """What the report measures: the depths, tokens made at each, and the prompt whose first token is waited for (0 when
    there is no time for one)."""

    depths: tuple[int, ...]
    make: int
    prompt: int


def search_sizes(seen: Seen, seconds: float, candidates: int, context: int) -> Sizes:
    """What each of the candidates can be measured with in this time, and how many if not all."""
    for count in range(candidates, 0, -1):
        side = (seconds / count - seen.load_s - _BESIDE_LOAD_S) / (2 * ROUNDS)
        read = min(int(side * 0.6 * seen.prefill_per_s) // 64 * 64, MOST_READ, (context - MOST_MADE) // 64 * 64)
        make = min(int(side * 0.4 * seen.decode_per_s), MOST_MADE)
        if read >= min(LEAST_READ, context // 2) and read > 0 and make >= LEAST_MADE:
            copy_s = (COPIED + make) / seen.decode_per_s + (COPY_PROMPT + read) / seen.prefill_per_s
            fits = context > COPIED + COPY_PROMPT and copy_s <= 2 * side
            return Sizes(read, make, COPIED if fits else 0, count)
    return Sizes(0, 0, 0, 0)


def cut(factors: Sequence[Factor], sizes: Sizes) -> tuple[tuple[Factor, ...], tuple[tuple[Factor, str], ...]]:
    """The factors with as many values as can be tried, the first of each before the second of any; and what is left
    out, value by value, each with the reason."""
    kept: dict[str, list[int | str]] = {factor.name: [] for factor in factors}
    left: list[tuple[Factor, str]] = []
    order = sorted((place, number) for number, factor in enumerate(factors) for place in range(len(factor.values)))
    room = sizes.candidates
    for place, number in order:
        factor = factors[number]
        value = factor.values[place]
        why = _too_much(factor, value, sizes) if sizes.candidates else ""
        if why or room == 0:
            left.append((replace(factor, values=(value,)), why or NO_TIME))
        else:
            kept[factor.name].append(value)
            room -= 1
    fewer = tuple(replace(factor, values=tuple(kept[factor.name])) for factor in factors if kept[factor.name])
    return fewer, tuple(left)


def merge(factors: Iterable[Factor]) -> tuple[Factor, ...]:
    """Factors that have their values apart, each name once."""
    found: dict[str, Factor] = {}
    for factor in factors:
        before = found[factor.name].values if factor.name in found else ()
        found[factor.name] = replace(factor, values=(*before, *factor.values))
    return tuple(found.values())


def _too_much(factor: Factor, value: int | str, sizes: Sizes) -> str:
    if factor.judged == "text" and not sizes.copied:
        return f"an answer of {COPIED} tokens takes too long, or has no room in the context"
    if factor.name == "micro_batch" and int(value) > sizes.read:
        return f"a prompt of {value:,} tokens takes too long, or has no room in the context"
    return ""


def reach(seen: Seen, seconds: float, sides: int, context: int) -> Reach | None:
    """What can be reported of so many launches in this time; None when not even the least."""
    share = seconds / sides
    # The rest is for the first token; a model that is too slow for that is measured without.
    for limit in (share * _WALK_SHARE, share):
        for depths in _choices(context - MOST_MADE):
            for make in (MOST_MADE, LEAST_MADE):
                cost = _SLOWER_DEEP * depths[-1] / seen.prefill_per_s + len(depths) * make / seen.decode_per_s
                if cost <= limit:
                    return Reach(depths, make, _prompt(seen, share - cost, context))
    return None


def _choices(context: int) -> list[tuple[int, ...]]:
    """All depths, then without the deepest and so on, then a single shallow one."""
    fitting = tuple(depth for depth in DEPTHS if depth <= context)
    falling = [fitting[:count] for count in range(len(fitting), 0, -1)]
    return [*falling, *((depth,) for depth in _SHALLOW if depth <= context)]


def _prompt(seen: Seen, seconds: float, context: int) -> int:
    """Read once, and some messages after it."""
    for tokens in PROMPTS:
        cost = (_SLOWER_DEEP * tokens + 4 * MESSAGE) / seen.prefill_per_s + 4 / seen.decode_per_s
        if cost <= seconds and tokens + 4 * MESSAGE <= context:
            return tokens
    return 0
