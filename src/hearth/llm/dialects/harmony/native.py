"""Arguments as gpt-oss was trained to write them, in the words of our tools. Pure.

It is shown our schemas, and falls back into its own habits: a command as a list, a range of lines, a tree, a patch
without JSON around it. Only what our tool does not know is translated, and only where it has one meaning; all else
stays byte for byte, and what is not understood is left to whoever checks arguments.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hearth.messages import ToolSpec

Arguments = dict[str, Any]
_BARE_PATCH = re.compile(r"\s*\*\*\* Begin Patch\n.*\n\*\*\* End Patch\s*", re.DOTALL)
"""A patch that stands there as it is, without JSON around it."""
_SHELLS = ("bash", "sh", "/bin/bash", "/bin/sh")


def adapt_arguments(name: str, arguments: str, tools: Mapping[str, ToolSpec]) -> str:
    """The arguments of a call to our tool ``name``; unchanged where they fit, or say nothing that is known."""
    tool, translate = tools.get(name), _TRANSLATIONS.get(name)
    if tool is None or translate is None:
        return arguments
    known = tool.parameters.get("properties", {})
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        is_patch = name == "apply_patch" and len(known) == 1 and _BARE_PATCH.fullmatch(arguments)
        return json.dumps({next(iter(known)): arguments}, ensure_ascii=False) if is_patch else arguments
    if not isinstance(found, dict) or (found.keys() <= known.keys() and not isinstance(found.get("command"), list)):
        return arguments
    translated = translate(found, known)
    return arguments if translated is None else json.dumps(translated, ensure_ascii=False)


def _command(found: Arguments, known: Mapping[str, Any]) -> Arguments | None:
    """``command`` is a list for execvp, most often of a shell and its text; ``workdir`` is where it runs."""
    given = next((found[name] for name in ("command", "cmd", "commands") if name in found), None)
    if isinstance(given, list) and given and all(isinstance(word, str) for word in given):
        is_shell = len(given) == 3 and given[0] in _SHELLS and given[1] in ("-c", "-lc")
        given = given[2] if is_shell else shlex.join(given)
    folder = found.get("workdir")
    if not isinstance(given, str) or not (folder is None or isinstance(folder, str)):
        return None
    if folder not in (None, "", "."):
        given = f"cd {shlex.quote(folder)} || exit\n{given}"
    kept = {name: value for name, value in found.items() if name in known and name != "command"}
    return {"command": given, **kept}


def _lines(found: Arguments, known: Mapping[str, Any]) -> Arguments | None:
    """A file between two lines, both included."""
    path = next((found[name] for name in ("path", "file_path") if found.get(name)), None)
    first, last = (
        next((found[name] for name in names if found.get(name) is not None), None)
        for names in (("offset", "line_start", "start_line"), ("line_end", "end_line"))
    )
    if not isinstance(path, str) or not all(each is None or isinstance(each, int) for each in (first, last)):
        return None
    limit = found.get("limit")
    if last is not None:
        limit = last - (first or 1) + 1
        if limit < 1:
            return None
    chosen = {"path": path, "offset": first, "limit": limit}
    return {name: value for name, value in chosen.items() if value is not None}


def _query(found: Arguments, known: Mapping[str, Any]) -> Arguments | None:
    """``query`` is what we call a pattern; how many results there may be is the tool's business."""
    query = found.get("pattern", found.get("query"))
    if not isinstance(query, str):
        return None
    kept = {name: found[name] for name in ("path", "glob") if name in known and found.get(name)}
    return {"pattern": query, **kept}


def _tree(found: Arguments, known: Mapping[str, Any]) -> Arguments | None:
    """A folder is all that is below it."""
    path = found.get("path", "")
    if not isinstance(path, str):
        return None
    folder = path.strip().rstrip("/").removeprefix("./")
    below = "*" if found.get("depth") == 1 else "**/*"
    return {"pattern": below if folder in ("", ".") else f"{folder}/{below}"}


def _patch(found: Arguments, known: Mapping[str, Any]) -> Arguments | None:
    """The patch is its one argument, whatever that is called."""
    texts = [value for value in found.values() if isinstance(value, str)]
    return {next(iter(known)): texts[0]} if len(found) == len(texts) == len(known) == 1 else None


_TRANSLATIONS: dict[str, Callable[[Arguments, Mapping[str, Any]], Arguments | None]] = {
    "bash": _command,
    "read": _lines,
    "grep": _query,
    "glob": _tree,
    "apply_patch": _patch,
}
