"""What a call of another agent's tool is in calls of ours, where it is not one of ours under another name: pure.

gpt-oss applies patches by its shell. Cline's ``replace_in_file``, Roo's ``apply_diff`` and the ``search_replace`` of
Mistral's Vibe hold SEARCH/REPLACE blocks. The editor of SWE-agent and OpenHands is three tools in one. Taken is only
what is whole and has one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.llm.repair.blocks import read_blocks
from hearth.llm.repair.names import Offer, clean_name, squash
from hearth.llm.repair.shell_patch import read_shell_patch

Arguments = Mapping[str, Any]
Meant = tuple[tuple[str, dict[str, Any]], ...]

PATCHING = "apply_patch"
EDITORS = frozenset(("strreplaceeditor", "strreplacebasededittool"))
DIFFS = {"replaceinfile": "diff", "applydiff": "diff", "searchreplace": "content"}
"""Which argument holds the blocks."""


def translate(name: str, tool: str, arguments: Arguments, offer: Offer) -> Meant:
    """The calls that are meant; none if the call is to be taken as it is. ``tool`` is the offered tool that goes by the
    name, empty if there is none; names of arguments are still the model's."""
    called = squash(clean_name(name).rpartition(".")[2])
    is_theirs = not tool or DIFFS.get(called, "") not in offer.parameters(tool).get("properties", {})
    if called in DIFFS and is_theirs:
        return _edit_by_blocks(arguments, arguments.get(DIFFS[called]), offer)
    if called in EDITORS and name not in offer.specs:
        return _edit_by_command(arguments, offer)
    return _patch(tool, arguments, offer)


def _patch(tool: str, arguments: Arguments, offer: Offer) -> Meant:
    patching = offer.of_kind(PATCHING)
    if not patching or not tool or tool != offer.of_kind("bash"):
        return ()
    patch = read_shell_patch(arguments)
    parameter = next(iter(offer.parameters(patching).get("properties", {})), "")
    return ((patching, {parameter: patch}),) if patch is not None and parameter else ()


def _edit_by_blocks(arguments: Arguments, text: Any, offer: Offer) -> Meant:
    edit, path = offer.of_kind("edit"), _path(arguments)
    if not edit or not path or not isinstance(text, str):
        return ()
    blocks = read_blocks(text)
    if not blocks or any(block.path for block in blocks):
        return ()
    if "blocks" in offer.parameters(edit).get("properties", {}):
        return ((edit, {"path": path, "blocks": text}),)
    return tuple((edit, {"path": path, "old": block.old, "new": block.new}) for block in blocks)


def _edit_by_command(arguments: Arguments, offer: Offer) -> Meant:
    path = _path(arguments)
    match path and arguments.get("command"):
        case "view":
            kind, meant = "read", _view(arguments.get("view_range"))
        case "create":
            kind, meant = "write", {"content": arguments.get("file_text")}
        case "str_replace":
            kind, meant = "edit", {"old": arguments.get("old_str"), "new": arguments.get("new_str", "")}
        case _:
            return ()
    tool = offer.of_kind(kind)
    return ((tool, {"path": path, **meant}),) if tool and meant is not None else ()


def _view(given: Any) -> dict[str, Any] | None:
    """Lines from, to (both included; to -1 is the end); none are all."""
    match given:
        case None:
            return {}
        case [int(first), int(last)] if first >= 1 and last == -1:
            return {"offset": first}
        case [int(first), int(last)] if 1 <= first <= last:
            return {"offset": first, "limit": last - first + 1}
    return None


def _path(arguments: Arguments) -> str:
    path = arguments.get("path", arguments.get("file_path"))
    return path if isinstance(path, str) else ""
