"""Reads from an engine's log why a load failed. Pure: lines in, one error out.

The engine raises the same words whatever happened; only its log tells. The wordings are those of llama.cpp b11549.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hearth.errors import CorruptModel, EngineFailed, HearthError, ModelUnavailable, OutOfMemory

_UNKNOWN_KIND = re.compile(r"unknown model architecture: '([^']*)'")
_UNKNOWN_VERSION = re.compile(r"GGUF file is version (\d+)")
_MISSING = re.compile(r"failed to open GGUF file '[^']*' \(([^)]*)\)")
_NO_MAGIC = re.compile(r"invalid magic|failed to read magic")
_CUT_SHORT = re.compile(r"not within the file bounds|failed to read key-value|unexpectedly reached end of file")
_DAMAGED = re.compile(
    r"failed to read header|failed to read tensor|missing tensor|tensor '[^']*' not found|wrong number of tensors"
    r"|wrong shape|key not found in model|has wrong type|invalid ggml type|duplicate(?:d)? tensor"
    r"|error loading model vocabulary|number of tensors is -?\d+ but"
)
_MEMORY = re.compile(
    r"insufficient memory|out of memory|unable to allocate|failed to allocate|bad_alloc|Cannot allocate memory"
    r"|cudaMalloc failed|ErrorOutOfDeviceMemory",
    re.IGNORECASE,
)
_BUFFER_BYTES = re.compile(r"failed to allocate (?:\w+ )?buffer of size (\d+)")
_NO_LIBRARY = re.compile(r"(?:ImportError|ModuleNotFoundError): (.*)")
_NO_SOCKET = re.compile(r"couldn't bind HTTP server socket")
_ASSERTION = re.compile(r"(GGML_ASSERT\(.*\) failed|GGML_ABORT.*|terminate called.*)")
_SAID = re.compile(
    r"(?:error loading model:|hearth worker:|Error:) *(.+)$|^[\d.]+ E (?:\S+ +)?\S+: (?!error loading model:)(.+)"
)

_AGAIN = "fetch or copy the file again"
_SMALLER = "set a smaller context (HEARTH_CONTEXT) or fewer slots (HEARTH_SLOTS), or take a smaller model"


def load_error(lines: Iterable[str], model: str, exit_text: str, log_file: str) -> HearthError:
    """The error that says why the load of ``model`` failed.

    ``lines`` is the tail of the engine's log, ``exit_text`` how its process ended (``exit code 70``), ``log_file``
    where the rest can be read. Returns ModelUnavailable, CorruptModel or EngineFailed; never raises.
    """
    text = "\n".join(lines)
    return (
        _file_error(text, model) or _engine_error(text, model, exit_text) or _unknown(text, model, exit_text, log_file)
    )


def _file_error(text: str, model: str) -> HearthError | None:
    """What is wrong with the file. Memory comes first elsewhere: a failed allocation also ends in "failed to load"."""
    if found := _UNKNOWN_KIND.search(text):
        return CorruptModel(
            f"model {model}: this engine does not know the architecture {found[1]!r}",
            "update hearth, or take another model: hearth models list",
        )
    if found := _UNKNOWN_VERSION.search(text):
        return CorruptModel(f"model {model}: GGUF version {found[1]} is unknown to this engine", "update hearth")
    if found := _MISSING.search(text):
        return ModelUnavailable(f"model {model}: its file cannot be opened: {found[1]}", "run: hearth models list")
    if _NO_MAGIC.search(text):
        return CorruptModel(f"model {model}: its file is not a GGUF", _AGAIN)
    if _CUT_SHORT.search(text):
        return CorruptModel(f"model {model}: its file is cut short", _AGAIN)
    if _DAMAGED.search(text):
        return CorruptModel(f"model {model}: its file is damaged: {_last_said(text)}", _AGAIN)
    return None


def _engine_error(text: str, model: str, exit_text: str) -> HearthError | None:
    if _MEMORY.search(text):
        size = _BUFFER_BYTES.search(text)
        wanted = f" for a buffer of {int(size[1]) / (1 << 20):,.0f} MiB" if size else ""
        return OutOfMemory(f"model {model}: not enough memory{wanted}", _SMALLER)
    if exit_text == "killed by SIGKILL":
        return OutOfMemory(
            f"model {model}: the system killed the engine while it loaded, most often for want of memory", _SMALLER
        )
    if found := _NO_LIBRARY.search(text):
        return EngineFailed(f"the engine's library cannot be loaded: {found[1]}", "run: hearth doctor")
    if _NO_SOCKET.search(text):
        return EngineFailed(f"model {model}: the engine cannot listen in the runtime folder", "run: hearth doctor")
    return None


def _unknown(text: str, model: str, exit_text: str, log_file: str) -> HearthError:
    if found := _ASSERTION.search(text):
        return EngineFailed(f"model {model}: the engine aborted: {found[1]}", f"see {log_file}")
    said = _last_said(text)
    because = f": {said}" if said else ""
    return EngineFailed(f"model {model}: the engine did not start ({exit_text}){because}", f"see {log_file}")


def _last_said(text: str) -> str:
    """The last complaint that is not the mere echo of an earlier one."""
    said = [(found[1] or found[2]).strip() for line in text.splitlines() if (found := _SAID.search(line))]
    telling = [
        line for line in said if not re.match(r"failed to (load|create_context)|exiting due to|Failed to init", line)
    ]
    return (telling or said or [""])[-1]
