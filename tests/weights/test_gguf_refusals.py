"""A header that cannot be is refused, in one line that names the byte and says what is wrong there."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gguf_models
from gguf_samples import ARRAY, LLAMA, TEXT, CountingSource, array, header, number, pair, read, row, text, whole
from hearth.errors import CorruptModel
from hearth.weights.gguf import read_gguf, read_gguf_from
from hearth.weights.gguf_cursor import LONGEST_HEADER

START = 24 + len(LLAMA)
"""Where the second entry begins, or the first row when there is none."""


@pytest.mark.parametrize(
    ("content", "at", "said"),
    [
        (whole([LLAMA, LLAMA]), START, "the key 'general.architecture' again"),
        (whole([LLAMA, number("", 4, 1)]), START, "a key without a name"),
        (whole([LLAMA, number("k" * 65_536, 4, 1)]), START, "a key of 65,536 bytes"),
        (whole([LLAMA, pair("k", 13, b"")]), START, "'k', an entry of unknown kind 13"),
        (whole([LLAMA, pair("k", ARRAY, struct.pack("<IQ", 14, 1))]), START + 13, "an array of unknown kind 14"),
        (whole([LLAMA, pair("k", ARRAY, struct.pack("<IQ", ARRAY, 1))]), START + 13, "an array of arrays"),
        (whole([number("general.architecture", 4, 1)]), 24, "'general.architecture', which is not a text"),
        (whole([LLAMA, number("tokenizer.chat_template", 4, 1)]), START, "which is not a text"),
        (whole([LLAMA, array("tokenizer.ggml.tokens", 4, [1])]), START, "which is not a list of texts"),
        (whole([LLAMA, number("llama.context_length", 6, 1.0)]), START, "which is not a whole number"),
        (whole([LLAMA, number("llama.block_count", 7, True)]), START, "which is not a whole number"),
        (whole([LLAMA, array("llama.embedding_length", 4, [1])]), START, "which is not a whole number"),
        (whole([LLAMA, number("llama.context_length", 5, -1)]), START, "with the value -1"),
        (whole([LLAMA, number("llama.block_count", 10, 1 << 32)]), START, "with the value 4294967296"),
        (whole([LLAMA, array("llama.attention.head_count", 6, [1.0])]), START, "which is not whole numbers"),
        (whole([LLAMA, pair("split.count", TEXT, text("2"))]), START, "which is not a whole number"),
        (whole([number("split.count", 2, 2), number("split.no", 2, 2)]), 24 + 25, "the place of part 3 of 2"),
        (whole([LLAMA, number("general.alignment", 4, 0)]), START, "an alignment of 0"),
        (whole([LLAMA, number("general.alignment", 4, 48)]), START, "an alignment of 48"),
        (whole([LLAMA, number("general.alignment", 10, 32)]), START, "an alignment of 32"),
        (whole([LLAMA], []), 8, "a count of 0 tensors"),
        (whole([LLAMA], [row("a", (8,)), row("a", (8,), 0, 32)], 64), START + 33, "the tensor 'a' again"),
        (whole([LLAMA], [row("n" * 1025, (8,))]), START, "a tensor's name of 1,025 bytes"),
        (whole([LLAMA], [row("a", (1,) * 5)]), START, "a tensor of 5 dimensions"),
        (whole([LLAMA], [row("a", (1 << 32, 1 << 31))]), START, "absurd dimensions"),
        (whole([LLAMA], [row("a", (1 << 62, 1 << 62, 1 << 62, 4))]), START, "absurd dimensions"),
        (whole([LLAMA], [row("a", (0, 1 << 63))]), START, "absurd dimensions"),
        (whole([LLAMA], [row("a", (8,), 0, 8)]), START, "'a' at offset 8, not aligned to 32"),
        (whole([LLAMA], [row("a", (33,), 8)], 64), START, "rows of 33 elements in blocks of 32"),
        (whole([LLAMA], [row("a", (), 8)], 64), START, "rows of 1 elements in blocks of 32"),
        (whole([LLAMA], [row("a", (16,)), row("b", (8,), 0, 32)], 64), START + 33, "'b', which overlaps 'a'"),
        (whole([LLAMA], [row("a", (8,)), row("b", (8,))], 64), START + 33, "'b', which overlaps 'a'"),
        (whole([LLAMA], [row("a", (1 << 61,))]), START, "is cut short: 160 of 9,223,372,036,854,775,936 bytes"),
        (whole([LLAMA], [row("a", (8,), 0, (1 << 64) - 32)]), START, "is cut short: 160 of"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_with_its_byte(content: bytes, at: int, said: str) -> None:
    with pytest.raises(CorruptModel) as caught:
        read(content)
    assert said in caught.value.what
    assert f"at byte {at:,} " in caught.value.what
    assert caught.value.what.startswith("m.gguf ")
    assert "\n" not in str(caught.value)


def test_names_in_errors_are_short_and_plain() -> None:
    with pytest.raises(CorruptModel) as caught:
        read(whole([LLAMA], [row("\n\x1b[31m" + "n" * 900, (33,), 8)]))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([array("s", TEXT, [""] * ((1 << 21) + 1))], "more than 2,097,152 texts"),
        ([pair(f"t{index}", TEXT, text("a" * (1 << 20))) for index in range(17)], "more than 16,777,216 bytes"),
        ([array(f"n{index}", 0, [1] * 4096) for index in range(129)], "more than 524,288 numbers"),
        ([pair("k", ARRAY, struct.pack("<IQ", 0, LONGEST_HEADER))], "goes on beyond 134,217,728 bytes"),
    ],
    ids=["texts", "text", "numbers", "length"],
)
def test_a_header_that_holds_too_much(pairs: list[bytes], said: str) -> None:
    with pytest.raises(CorruptModel, match=rf"at byte [\d,]+ .*{said}"):
        read(header([LLAMA, *pairs], []), 1 << 40)


def test_a_big_endian_file_is_called_so(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "big.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("a", np.ones(8, dtype=np.float32))
    gguf_models.finish(writer, tmp_path / "big.gguf")
    with pytest.raises(CorruptModel, match=r"big-endian \(at byte 4: version 3\).*little-endian") as caught:
        read_gguf(tmp_path / "big.gguf")
    assert "little-endian" in caught.value.fix


@settings(max_examples=200, deadline=None)
@given(tail=st.binary(max_size=400), counts=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_any_bytes_give_nothing_but_our_errors(tail: bytes, counts: tuple[int, int]) -> None:
    source = CountingSource(b"GGUF" + struct.pack("<IQQ", 3, *counts) + tail, 1 << 20)
    with suppress(CorruptModel):
        read_gguf_from(source)
    assert source.moved_forward_only()
