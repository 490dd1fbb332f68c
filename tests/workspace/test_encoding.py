"""Bytes and text."""

import pytest

from hearth.errors import WorkspaceError
from hearth.workspace.encoding import decode, encode


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"caf\xc3\xa9\n", "café\n", "utf-8"),
        (b"\xef\xbb\xbfa\n", "a\n", "utf-8-sig"),
        (b"\xff\xfea\0\n\0", "a\n", "utf-16-le"),
        (b"\xfe\xff\0a\0\n", "a\n", "utf-16-be"),
        (b"caf\xe9\n", "café\n", "latin-1"),
        (b"", "", "utf-8"),
    ],
)
def test_a_file_is_read_as_it_is_written(data: bytes, text: str, encoding: str) -> None:
    document = decode(data)
    assert document is not None
    assert (document.text, document.encoding) == (text, encoding)
    assert encode("f", text, document) == data


@pytest.mark.parametrize("data", [b"\x7fELF\0\1", b"\xff\xfea", b"\xff\xfe\0\xd8", b"\xff\xfe\0\0a\0\0\0", b"a\0b"])
def test_what_is_no_text_is_binary(data: bytes) -> None:
    assert decode(data) is None


def test_a_file_that_may_be_anything_gets_no_new_signs() -> None:
    document = decode("Stra\xdfe, caf\xe9\n".encode("latin-1"))
    assert encode("f", "caf\xe9 au lait, gro\xdf\n", document) == "caf\xe9 au lait, gro\xdf\n".encode("latin-1")
    with pytest.raises(WorkspaceError, match="not UTF-8: '“, €'"):
        encode("f", "“5 €\n", document)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="half a surrogate pair"):
        encode("f", "\ud800")
