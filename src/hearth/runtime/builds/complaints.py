"""Reads from what pip printed why it brought no wheel. Pure: lines in, one error out. The wordings are pip 26's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hearth.errors import HearthError, StateError, Unavailable

_VERSIONS = re.compile(r"Could not find a version that satisfies the requirement .*\(from versions: (.*)\)")
_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|NameResolutionError"
    r"|Connection (?:refused|reset)|connection broken|Connection aborted"
    r"|RemoteDisconnected|IncompleteRead|SSLError|[Tt]imed? ?out"
)
_STATUS = re.compile(r"(?:too many |HTTP error |: )(\d{3}) (?:error responses|Client Error|Server Error|while getting)")
_HASHES = re.compile(r"DO NOT MATCH THE HASHES")
_OTHER_INSIDE = re.compile(r"inconsistent (?:name|version)|different (?:name|version) in metadata")
_UNTRUSTED = re.compile(r"not a trusted or secure host")
_NOT_A_WHEEL = re.compile(r"BadZipFile|is not a zip file|Wheel .* is invalid|has an invalid wheel|InvalidWheel|Bad CRC")
_FULL = re.compile(r"No space left on device|Errno 28|Disk quota exceeded")
_NO_PIP = re.compile(r"No module named pip\b")
_ERROR = re.compile(r"^\s*(?:ERROR|error|fatal error|CMake Error)\b:?\s*(?:at .*:$)?(.*)")
_MISSING_BACKEND = re.compile(r"No matching distribution found for ((?:setuptools|cython|versioneer)\S*)")


def complaint(lines: Iterable[str], what: str, origin: str, log_file: str) -> HearthError:
    """The error that says why pip did not bring ``what`` (``xllamacpp 2026.10.11549``).

    ``lines`` is the tail of its output, ``origin`` where it was to come from, ``log_file`` where the rest can be read.
    Returns StateError for this machine's own faults, Unavailable for the index's; never raises.
    """
    told = list(lines)
    text = "\n".join(told)
    if _NO_PIP.search(text):
        return no_pip()
    if _FULL.search(text):
        return StateError("the disk is full: nothing was installed", "make room, and try again")
    if _HASHES.search(text):
        fix = "try again; if it stays so, the index is damaged or not to be trusted"
        return Unavailable(f"what came from {origin} is not what the index announced: nothing was installed", fix)
    if _NOT_A_WHEEL.search(text):
        return Unavailable(f"what came from {origin} is no whole wheel: nothing was installed", "try again")
    if _OTHER_INSIDE.search(text):
        return Unavailable(
            f"a wheel of {origin} is not what its name says: nothing was installed", "name another index"
        )
    if _UNTRUSTED.search(text):
        return Unavailable(f"{origin} is not encrypted, so that anyone could answer for it", "give an https:// address")
    if found := _MISSING_BACKEND.search(text):
        return Unavailable(f"the tools that build it are not to be had: {found[1]}", "let pip reach a package index")
    if found := _VERSIONS.search(text):
        return _none_fits(text, found[1], what, origin)
    if _UNREACHABLE.search(text):
        return _unreachable(origin)
    return Unavailable(f"pip did not install {what}: {_last_error(told)}", f"see {log_file}")


def no_pip() -> StateError:
    """There is no pip in this Python."""
    fix = "run: python -m ensurepip, or in an environment made by uv: uv pip install pip"
    return StateError("pip is not installed beside hearth: it fetches the builds", fix)


def _none_fits(text: str, versions: str, what: str, origin: str) -> HearthError:
    """No candidate: the index was not there, had nothing, or had others. pip says the same line for all three."""
    if versions.strip() not in ("none", ""):
        return Unavailable(
            f"{origin} has no {what} for this system and Python; it has {_few(versions)}",
            "update hearth, or name another index with --index-url",
        )
    if found := _STATUS.search(text):
        return Unavailable(f"{origin} answers {found[1]}", "name another index with --index-url")
    if _UNREACHABLE.search(text):
        return _unreachable(origin)
    return Unavailable(
        f"{origin} has no {what} for this system and Python", "name another index with --index-url, or try --native"
    )


def _unreachable(origin: str) -> HearthError:
    return Unavailable(f"{origin} cannot be reached", "check the network, or name another index with --index-url")


def _few(versions: str) -> str:
    listed = [version.strip() for version in versions.split(",")]
    return ", ".join(listed[-3:])


def _last_error(lines: Sequence[str]) -> str:
    errors = [found[1].strip() for line in lines if (found := _ERROR.match(line)) and found[1].strip()]
    return (errors or [line.strip() for line in lines if line.strip()] or ["no word"])[-1][:300]
