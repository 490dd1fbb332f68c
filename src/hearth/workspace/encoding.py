"""The text of a file and its bytes: what a change does not touch comes back byte for byte."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from typing import Literal

from hearth.errors import WorkspaceError

Encoding = Literal["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "latin-1"]

_MARKS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SNIFFED = 8192
"""Bytes in which a NUL makes a file binary."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text without its byte order mark, how it is written, and the digest of its bytes."""

    text: str
    encoding: Encoding
    digest: bytes


def digest_of(data: bytes) -> bytes:
    """16 bytes that tell one content from another."""
    return hashlib.blake2b(data, digest_size=16).digest()


def decode(data: bytes) -> Document | None:
    """The text of a file's bytes; None if it is binary.

    With a byte order mark UTF-8 or UTF-16, else UTF-8, else Latin-1: that reads any bytes and writes them back the
    same, whatever they were meant to be.
    """
    digest = digest_of(data)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = _read(data[len(mark) :], "utf-8" if encoding == "utf-8-sig" else encoding)
            # Not all that begins like a mark is one.
            return None if text is None or "\0" in text[:SNIFFED] else Document(text, encoding, digest)
    if b"\0" in data[:SNIFFED]:
        return None
    text = _read(data, "utf-8")
    return Document(data.decode("latin-1"), "latin-1", digest) if text is None else Document(text, "utf-8", digest)


def encode(name: str, text: str, before: Document | None = None) -> bytes:
    """The bytes of a text, written as the file was before; a new one as UTF-8.

    Raises WorkspaceError if that cannot be done, or not safely: a file that is read as Latin-1 may be anything, so it
    gets no sign beyond ASCII that it had not.
    """
    encoding: Encoding = before.encoding if before else "utf-8"
    if before and encoding == "latin-1" and not text.isascii():
        odd = {sign for sign in text if not sign.isascii()} - {sign for sign in before.text if not sign.isascii()}
        if odd:
            what = f"{name} is not UTF-8: {', '.join(sorted(odd)[:5])!r} cannot be written safely"
            raise WorkspaceError(what, "use ASCII, or convert the file with iconv first")
    mark = next((mark for mark, other in _MARKS if other == encoding), b"")
    try:
        return mark + text.encode("utf-8" if encoding == "utf-8-sig" else encoding)
    except UnicodeEncodeError as error:
        raise WorkspaceError(f"{name}: character {error.start} of the text is half a surrogate pair") from error


def _read(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text
