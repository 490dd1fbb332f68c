"""What a task names: files, identifiers, words, quoted texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_LARGEST_PROMPT = 50_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,99}")
_PLACE = re.compile(r"[\w./\\+-]{3,200}")
_DOTTED = re.compile(r"[A-Za-z_]\w{0,99}(?:(?:\.|::|#)[A-Za-z_]\w{0,99}){1,8}")
_CALLED = re.compile(r"([A-Za-z_]\w{2,99})\(")
_QUOTED = re.compile(r"`([^`\n]{4,120})`|\"([^\"\n]{4,120})\"|(?<!\w)'([^'\n]{4,120})'")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ENDINGS = ("ings", "ing", "ers", "er", "ies", "ied", "ed", "es", "s", "e", "y")
_SHORTEST_STEM = 3
_COMMON = frozenset(
    """
    about add after all also and any are because been before both but can change check class code could create def
    default delete does down each every file find fix folder for from function get give has have here how implement
    instead into its just key let line list look make may method module more most must name need needs new next none
    not now old one only other our out over own please project read remove rename return run same see self set should
    show some such support sure test tests than that the their them then there these they this those through too two
    type under until update use used uses using value via want was way were what when where which while who why will
    with without work would write wrong you your
    """.split()  # noqa: SIM905  # as words they can be read
)
"""Words of tasks that say nothing of where; a definition of that name is not meant by them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a task names."""

    code: frozenset[str] = frozenset()
    """Identifiers that are no ordinary words: ``parse_header``, ``HTTPServer``, what stands in backticks."""
    words: frozenset[str] = frozenset()
    """Ordinary words, as written, that may be identifiers too."""
    qualified: frozenset[str] = frozenset()
    """Names with what they are in, joined by dots: ``Reader.parse``."""
    places: frozenset[str] = frozenset()
    """What may be paths or dotted modules."""
    quotes: tuple[str, ...] = ()
    """Quoted texts, such as the message of an error."""

    @property
    def stems(self) -> frozenset[str]:
        """The stems of all words, parts of identifiers included."""
        return frozenset(stem for name in (*self.code, *self.words) for stem in split_name(name))


def read_prompt(prompt: str) -> Wanted:
    """What a prompt names; of a very long one its beginning and its end."""
    if len(prompt) > _LARGEST_PROMPT:
        prompt = f"{prompt[: _LARGEST_PROMPT // 2]}\n{prompt[-_LARGEST_PROMPT // 2 :]}"
    quotes = tuple(dict.fromkeys(next(filter(None, found)).strip() for found in _QUOTED.findall(prompt)))
    quoted = {name for quote in quotes if " " not in quote for name in _NAME.findall(quote)}
    qualified = frozenset(re.sub(r"::|#", ".", found) for found in _DOTTED.findall(prompt))
    quoted |= {name for dotted in qualified for name in _NAME.findall(dotted)} | set(_CALLED.findall(prompt))
    names = set(_NAME.findall(prompt))
    code = frozenset(name for name in names if _is_code(name) or (name in quoted and name not in _COMMON))
    words = frozenset(name for name in names - code if name.lower() not in _COMMON)
    places = frozenset(
        place.replace("\\", "/").removeprefix("./").strip(".-/")
        for place in _PLACE.findall(prompt)
        if "/" in place or "." in place.strip(".") or "\\" in place
    )
    return Wanted(
        code, words, qualified, places - {""}, tuple(quote for quote in quotes if len(quote) > _SHORTEST_STEM)
    )


def find_named(paths: Iterable[str], wanted: Wanted) -> frozenset[str]:
    """The files that a task names: by path, by the end of one, by name, or as a dotted module."""
    ends: set[str] = set()
    for place in wanted.places:
        ends.add(place)
        if "/" not in place:
            ends.add(place.replace(".", "/"))
    found = set()
    for path in paths:
        stem = path.rpartition(".")[0] or path
        if any(_ends(path, end) or ("/" in end and _ends(stem, end)) for end in ends):
            found.add(path)
    return frozenset(found)


@lru_cache(maxsize=200_000)
def split_name(name: str) -> tuple[str, ...]:
    """The stems of the words in an identifier: ``parseHTTPHeaders`` has pars, http and header."""
    return tuple(_stem(part.lower()) for part in _PART.findall(name) if len(part) >= _SHORTEST_STEM)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word.removesuffix(ending)
    return word


def _is_code(name: str) -> bool:
    """Whether a word is written as no ordinary word is."""
    return "_" in name.strip("_") or any(map(str.isdigit, name)) or bool(re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]", name))


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")
