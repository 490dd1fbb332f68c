"""Names that nobody has seen: words made up from syllables, and words harvested from the standard library.

A word belongs for ever to one side, training or held-out, by its hash.
"""

from __future__ import annotations

import functools
import hashlib
import keyword
import random
import re
import sysconfig
from pathlib import Path

HELD_OUT_SHARE = 0.1
MADE_UP_SHARE = 0.55
"""Share of made-up words: with real words alone, held-out words were copied badly (pilot trials, 2026)."""

_SOUNDS = """
b c d f g h j k l m n p qu r s t v w x y z bl br ch cl cr dr fl fr gl gr ph pl pr sc sh sk sl sn sp st th tr
a e i o u ai au ea ee ia ie oa oo ou
b ck d f g l ll m n nd ng nt p r rd rk rn rt s sh sk ss st t th x z
"""
_ONSETS, _NUCLEI, _CLOSINGS = (line.split() for line in _SOUNDS.strip().splitlines())
_CODAS = ["", "", "", *_CLOSINGS]
_LEXICON_PACKAGES = """
asyncio collections concurrent ctypes distutils email html http idlelib importlib json logging multiprocessing tkinter
unittest urllib xml
"""
_RESERVED_TEXT = """
test tests src self pytest print sum len max min range all any abs int str list dict set sorted true false none total
conftest bool float zip map iter next hash result item class type id open key value items file path name
return plus minus times the add subtract from less multiply product divided rounded down without remainder divide
what left when greater than above more least not equal below smaller most same different tell whether but never keep
that are count first last numbers each both small project give multiplied assert def readme tool ini options
pythonpath toml one two math sys annotations future import
"""
_RESERVED = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) | frozenset(_RESERVED_TEXT.split())
"""Words that mean something in the generated code or its docstrings: as names they would be found all over."""


def is_held_out(word: str) -> bool:
    """Whether the word may be used in evaluation only."""
    return hashlib.sha256(word.encode()).digest()[0] < 256 * HELD_OUT_SHARE


@functools.cache
def harvest_lexicon() -> tuple[str, ...]:
    """The words that the standard library's identifiers are made of, 3-10 letters, sorted."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found: set[str] = set()
    for source in sorted(library.glob("*.py")) + [
        path for package in _LEXICON_PACKAGES.split() for path in sorted((library / package).rglob("*.py"))
    ]:
        text = source.read_text(encoding="utf-8", errors="replace")
        found.update(re.findall(r"(?<![a-zA-Z])[a-z]{3,10}(?![a-zA-Z])", text))
    return tuple(sorted(found - _RESERVED))


class Words:
    """Draws words of one side. ``held_out`` draws those that training has never seen.

    ``kin_share`` of the fresh names share a word, or the beginning of one, with a name that is taken: what begins
    alike is what a copying model mixes up, and it has to practise that.
    """

    def __init__(
        self,
        rng: random.Random,
        held_out: bool = False,
        made_up_share: float = MADE_UP_SHARE,
        kin_share: float = 0.0,
    ) -> None:
        self._rng = rng
        self._held_out = held_out
        self._made_up_share = made_up_share
        self._kin_share = kin_share
        self._lexicon = [word for word in harvest_lexicon() if is_held_out(word) == held_out]

    def word(self) -> str:
        """One lower-case word."""
        if self._rng.random() >= self._made_up_share:
            return self._rng.choice(self._lexicon)
        while True:
            made_up = self._make_up()
            if is_held_out(made_up) == self._held_out and made_up not in _RESERVED:
                return made_up

    def name(self, most: int = 3, weights: tuple[int, ...] = (4, 5, 1)) -> str:
        """A snake_case name of one to ``most`` words."""
        count = self._rng.choices(range(1, most + 1), weights[:most])[0]
        return "_".join(self.word() for _ in range(count))

    def fresh_name(self, taken: set[str], most: int = 3, weights: tuple[int, ...] = (4, 5, 1)) -> str:
        """A name that is not part of a taken one, nor the other way round, so that text search finds only it."""
        while True:
            name = self.name(most, weights)
            if taken and self._kin_share and self._rng.random() < self._kin_share:
                name = self._make_kin(name, taken)
            if len(name) > 2 and not any(name in other or other in name for other in taken):
                taken.add(name)
                return name

    def _make_kin(self, name: str, taken: set[str]) -> str:
        other = self._rng.choice(self._rng.choice(sorted(taken)).split("_"))
        parts = name.split("_")
        if len(parts) > 1 and self._rng.random() < 0.5:
            parts[self._rng.randrange(len(parts))] = other
            return "_".join(parts)
        word = other[: self._rng.randint(2, 5)] + parts[0][self._rng.randint(1, 3) :]
        if len(word) > 10 or word in _RESERVED or is_held_out(word) != self._held_out:
            return name
        return "_".join([word, *parts[1:]])

    def _make_up(self) -> str:
        syllables = self._rng.choices((1, 2, 3), (3, 6, 1))[0]
        parts = [
            self._rng.choice(_ONSETS)
            + self._rng.choice(_NUCLEI)
            + (self._rng.choice(_CODAS) if last or self._rng.random() < 0.3 else "")
            for last in [False] * (syllables - 1) + [True]
        ]
        word = "".join(parts)
        return word if 2 < len(word) <= 10 else self._make_up()
