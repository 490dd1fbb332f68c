"""The languages that Python itself can read: what its parsers say, as line, column and a few words."""

from __future__ import annotations

import json
import re
import threading
import tomllib
import warnings
from pathlib import PurePosixPath

Place = tuple[int, int, str]
"""1-based line and column, and what is wrong there."""

_WARNINGS = threading.Lock()
_WITH_COMMENTS = re.compile(r"(^|/)((ts|js)config[^/]*|\.eslintrc|\.swcrc|devcontainer|language-configuration)\.json$")
_JSON_PART = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*\n|/\*.*?\*/)*[\]}])', re.DOTALL)
_DIRECTIVE = re.compile(r"-?s?include\b|(?:un)?export\b|override\b|undefine\b|vpath\b|if\w*\b|else\b|endif\b|\$[({]")
_ASSIGNMENT = re.compile(r"[\w.(){}$-]+\s*(?:\?|:{1,3}|\+|!)?=")
_RULE = re.compile(r"[^\s=#][^=#]*?:(?!=)")
_TOML_PLACE = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


def check_python(text: str) -> Place | None:
    """The first error of a Python text, as the compiler of this Python sees it."""
    if "\0" in text:
        return _place(text, text.index("\0"), "a NUL byte")
    try:
        # What the compiler only warns of would be printed; the filters are the process's, one at a time changes them.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<text>", "exec", dont_inherit=True)
    except SyntaxError as error:
        last = text.count("\n") + 1
        line = min(max(error.lineno or 1, 1), last)
        return line, max(error.offset or 1, 1), error.msg or "invalid syntax"
    except UnicodeEncodeError as error:
        return _place(text, error.start, "half a surrogate pair")
    except (RecursionError, MemoryError, ValueError, OverflowError):
        # Too deep for the compiler: it says no more than that, and neither do we.
        return None
    return None


def check_json(path: str, text: str) -> Place | None:
    """The first error of a JSON text; configuration files that their tools read with comments may have them."""
    name = PurePosixPath(path)
    if name.suffix == ".jsonc" or ".vscode" in name.parts or _WITH_COMMENTS.search(path):
        text = _JSON_PART.sub(_blank, text)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, error.colno, error.msg
    except (RecursionError, ValueError):
        return None
    return None


def check_toml(text: str) -> Place | None:
    """The first error of a TOML text."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_PLACE.match(str(error))
        if found is None:
            return 1, 1, str(error)
        line = int(found.group(2) or text.count("\n") + 1)
        return line, int(found.group(3) or 1), found.group(1)
    except (RecursionError, ValueError):
        return None
    return None


def check_make(text: str) -> Place | None:
    """The first line of a recipe that begins with blanks: make wants a tab there, and says "missing separator"."""
    if ".RECIPEPREFIX" in text:
        return None
    in_recipe = in_define = continued = False
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        goes_on, continued = continued, bare.endswith("\\")
        if in_define:
            in_define = not bare.startswith("endef")
        elif goes_on or not bare or bare[0] == "#" or line[0] == "\t" or _DIRECTIVE.match(bare):
            continue
        elif bare.startswith("define"):
            in_define = True
        elif _ASSIGNMENT.match(bare):
            in_recipe = in_recipe and line[0] == " "
        elif _RULE.match(bare):
            in_recipe = True
        elif in_recipe and line[0] == " ":
            return number, 1, "a recipe begins with a tab, not with blanks"
    return None


def _blank(part: re.Match[str]) -> str:
    """A comment or a comma too many as blanks, lines kept; a string stays."""
    return part.group() if part.group()[0] == '"' else re.sub(r"[^\n]", " ", part.group())


def _place(text: str, position: int, what: str) -> Place:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position), what
