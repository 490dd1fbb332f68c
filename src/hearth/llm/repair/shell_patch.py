"""A patch that a shell is told to apply: gpt-oss calls its shell with ``apply_patch``, which is no program: pure.

It is ours only where the shell would hand on exactly this text and do nothing else: one word, one quoted argument or
one here-document. With anything before or behind it, or anything in it that a shell would change, it is a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

COMMANDS = ("command", "cmd", "commands", "script", "input")
FOLDERS = ("workdir", "cwd", "working_directory", "working_dir", "dir_path", "directory")
SHELLS = ("bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/usr/bin/bash", "/bin/zsh")
PROGRAMS = ("apply_patch", "applypatch")
"""As Codex has them (codex-rs/apply-patch)."""


def read_shell_patch(arguments: Mapping[str, Any]) -> str | None:
    """The patch that is all that a call of the shell does, byte for byte; None if it does, or may do, anything else."""
    given = [arguments[name] for name in COMMANDS if arguments.get(name) is not None]
    if len(given) != 1 or any(arguments.get(name) not in (None, "", ".", "./") for name in FOLDERS):
        return None
    match given[0]:
        case [str(program), str(patch)] if program in PROGRAMS:
            return patch if is_patch(patch) else None
        case [str(shell), "-c" | "-lc", str(text)] if shell in SHELLS:
            return _read_text(text)
        case str(text):
            return _read_text(text)
    return None


def is_patch(text: str) -> bool:
    """Whether a text is one whole patch and nothing else."""
    return bool(_PATCH.fullmatch(text)) and len(_END.findall(text)) == 1


def _read_text(text: str) -> str | None:
    if is_patch(text):
        return text
    head = _PROGRAM.match(text)
    if not head:
        return None
    patch = _read_document(text, head.end()) if text.startswith("<<", head.end()) else _read_word(text, head.end())
    return patch if patch is not None and is_patch(patch) else None


def _read_document(text: str, at: int) -> str | None:
    """The here-document that begins at ``at`` and ends the text."""
    head = _DOCUMENT.match(text, at)
    if not head:
        return None
    word = head["word"] or head["bare"]
    body = text[head.end() :]
    end = re.search(rf"^{re.escape(word)}$", body, re.MULTILINE)
    if not end or body[end.end() :].strip() or "\r" in body:
        return None
    inner = body[: end.start()]
    is_changed = (head["bare"] and _EXPANDED.search(inner)) or (head["dash"] and re.search(r"^\t", inner, re.MULTILINE))
    return None if is_changed else inner


def _read_word(text: str, at: int) -> str | None:
    """The one quoted word that begins at ``at`` and ends the text. ``shlex.quote`` makes it of several pieces."""
    word: list[str] = []
    while piece := _PIECE.match(text, at):
        word.append(piece["single"] if piece["single"] is not None else piece["double"])
        at = piece.end()
    return "".join(word) if word and not text[at:].strip() else None


_PATCH = re.compile(r"\s*\*\*\* Begin Patch\n(?:.*\n)?\*\*\* End Patch\s*", re.DOTALL)
_END = re.compile(r"^\*\*\* End Patch\s*?$", re.MULTILINE)
_PROGRAM = re.compile(rf"\s*(?:{'|'.join(PROGRAMS)})[ \t]+(?=['\"<])|\s*(?:{'|'.join(PROGRAMS)})(?=<<)")
_DOCUMENT = re.compile(
    r"<<(?P<dash>-?)[ \t]*(?:(?P<quote>['\"])(?P<word>[A-Za-z_]\w{0,40})(?P=quote)|(?P<bare>[A-Za-z_]\w{0,40}))[ \t]*\n"
)
_EXPANDED = re.compile(r"[$`\\]")
"""What a shell does not leave as it is in a here-document whose word is not quoted."""
_PIECE = re.compile(r"'(?P<single>[^']*)'|\"(?P<double>[^\"$`\\]*)\"")
