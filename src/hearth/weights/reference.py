"""What a person may write to name a model: a name of the catalogue, a hub's repository, an address, a file.

Pure: nothing is looked up here, neither in the catalogue nor on the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from hearth.errors import UsageError

LONGEST_REFERENCE = 2048
"""Characters of a reference; addresses are the longest."""

FORMS = (
    "write gpt-oss:20b, glm-4.7-flash:UD-Q4_K_XL, owner/name:QUANT, hf:owner/name:QUANT@revision, "
    "https://host/model.gguf or /folder/model.gguf"
)
"""The accepted forms, as a person is told."""

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_WORD}(?::{_WORD})?")
_REPO = re.compile(rf"{_WORD}/{_WORD}")
_QUANT = re.compile(
    r"(?:ud-)?(?:i?q\d|tq\d|p?tq\d|bf16|fp?16|fp?32|fp8|int[48]|mxfp\d|nvfp4|awq|gptq)(?:_[a-z0-9]+)*", re.IGNORECASE
)
_HUB_PREFIXES = ("hf:", "hf.co/", "huggingface.co/", "https://huggingface.co/", "https://hf.co/")
_LONGEST_NAME = 96


@dataclass(frozen=True, slots=True)
class CatalogueRef:
    """A model of the catalogue by name or alias; ``quant`` is empty when none was asked for."""

    name: str
    quant: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.quant}" if self.quant else self.name


@dataclass(frozen=True, slots=True)
class HubRef:
    """A repository of the hub. ``quant`` is a quantisation or the name of one file, ``revision`` a commit, branch or
    tag; each is empty when it was not told."""

    repo: str
    quant: str = ""
    revision: str = ""

    def __str__(self) -> str:
        text = f"{self.repo}:{self.quant}" if self.quant else self.repo
        return f"hf:{text}@{self.revision}" if self.revision else f"hf:{text}"


@dataclass(frozen=True, slots=True)
class UrlRef:
    """One file at an http or https address, without a fragment."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class FileRef:
    """A GGUF on this disk. The path is as it was written: relative ones and ``~`` are the caller's to resolve."""

    path: Path

    def __str__(self) -> str:
        text = str(self.path)
        return text if text.startswith(("/", "~")) else f"./{text}"


Reference = CatalogueRef | HubRef | UrlRef | FileRef


def parse_reference(text: str) -> Reference:
    """What ``text`` names. ``str()`` of the result is parsed to the same again.

    A file is told by a leading ``/``, ``./``, ``../`` or ``~/``, or by the ending ``.gguf``; ``https://huggingface.co/
    owner/name`` is a repository, a longer address there a file. Raises UsageError that shows the accepted forms.
    """
    if not text:
        _refuse(text, "an empty text names no model")
    if len(text) > LONGEST_REFERENCE:
        _refuse(text[:40], f"a model is named with at most {LONGEST_REFERENCE:,} characters")
    if not text.isprintable():
        _refuse(text, "holds a line break, a control character or bytes that are no text")
    if text != text.strip():
        _refuse(text, "begins or ends with a blank")
    if text.startswith(("/", "./", "../", "~/")):
        return _file(text)
    for prefix in _HUB_PREFIXES:
        rest = text[len(prefix) :]
        if text[: len(prefix)].lower() == prefix and (not prefix.startswith("https:") or _is_page(rest)):
            return _hub(text, rest.rstrip("/"))
    if "://" in text:
        return _url(text)
    if text.lower().endswith(".gguf"):
        return _file(text)
    return _hub(text, text) if "/" in text else _catalogue(text)


def is_catalogue_name(text: str) -> bool:
    """Whether a model of the catalogue may be called so: ``name`` or ``name:size``, where size is no quantisation."""
    if len(text) > _LONGEST_NAME or ".." in text or not _NAME.fullmatch(text) or text.lower().endswith(".gguf"):
        return False
    head, colon, tail = text.partition(":")
    return not (colon and looks_like_quant(tail)) and head.lower() != "hf"


def is_repository(text: str) -> bool:
    """Whether this is ``owner/name`` as the hub allows it."""
    return len(text) <= _LONGEST_NAME and not {"..", "--"} & {*_pairs(text)} and bool(_REPO.fullmatch(text))


def looks_like_quant(text: str) -> bool:
    """Whether this is how a quantisation is written, such as ``Q4_K_M``, ``UD-IQ4_XS`` or ``MXFP4``; case is free."""
    return bool(_QUANT.fullmatch(text))


def _catalogue(text: str) -> CatalogueRef:
    name, colon, quant = text.rpartition(":")
    if not (colon and looks_like_quant(quant)):
        name, quant = text, ""
    if not is_catalogue_name(name):
        _refuse(text, _why(text))
    return CatalogueRef(name, quant)


def _hub(text: str, rest: str) -> HubRef:
    rest, at, revision = rest.partition("@")
    repo, colon, quant = rest.partition(":")
    if not is_repository(repo):
        _refuse(text, _why(repo))
    if (colon and not re.fullmatch(_WORD, quant)) or ".." in quant:
        _refuse(text, "has no quantisation after the colon")
    words = revision.split("/")
    if at and not all(re.fullmatch(_WORD, word) and ".." not in word for word in words):
        _refuse(text, "has no revision after the @")
    return HubRef(repo, quant, revision)


def _url(text: str) -> UrlRef:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # an odd port, or brackets that are no address
        _refuse(text, "is no address")
    if parts.scheme not in ("http", "https"):
        _refuse(text, f"{parts.scheme}: is not a way to fetch a model")
    if parts.username is not None or parts.password is not None:
        _refuse(_without_secret(parts), "holds a name or password: they would be written down with the model")
    if not host or re.search(r"[\s\\]", text):
        _refuse(text, "is no address")
    segments = unquote(parts.path).split("/")
    if not segments[-1] or {".", ".."} & set(segments) or not segments[-1].isprintable():
        _refuse(text, "names no file at its end")
    return UrlRef(parts._replace(fragment="").geturl())


def _file(text: str) -> FileRef:
    if text.endswith(("/", "/.", "/..")):
        _refuse(text, "is a folder, not a file")
    return FileRef(Path(text))


def _is_page(rest: str) -> bool:
    return rest.rstrip("/").partition("@")[0].count("/") == 1 and not {"?", "#"} & {*rest}


def _pairs(text: str) -> set[str]:
    return {text[index : index + 2] for index in range(len(text) - 1)}


def _why(text: str) -> str:
    if ".." in text:
        return "steps out of its folder"
    if re.search(r"\s", text):
        return "has a blank in it"
    return "names no model"


def _without_secret(parts: SplitResult) -> str:
    return f"{parts.scheme}://…@{parts.hostname or ''}{parts.path}"


def _refuse(text: str, why: str) -> NoReturn:
    raise UsageError(f"{text[:200]!r}: {why}" if text else why, FORMS)
