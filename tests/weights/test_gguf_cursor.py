"""What the reader asks of a file or a connection: few reads, forward only, no weights, bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from gguf_samples import LLAMA, TEXT, CountingSource, array, header, number, pair, read, row, text, whole
from hearth.errors import CorruptModel
from hearth.weights.gguf import ArrayInfo, read_gguf, read_gguf_from
from hearth.weights.gguf_cursor import LARGEST_CHUNK

FIRST_ASKED = 256 << 10


def test_from_ranges_as_from_a_file(sample_files: list[Path]) -> None:
    for path in sample_files:
        source = CountingSource(path.read_bytes())
        assert read_gguf_from(source) == read_gguf(path)
        assert source.moved_forward_only()


def test_weights_are_not_asked_for() -> None:
    tera = 1 << 40
    source = CountingSource(header([LLAMA], [row("big", (tera // 4,)), row("b", (8,), 0, tera)]), tera + 4096)
    assert [tensor.size_bytes for tensor in read_gguf_from(source).tensors] == [tera, 32]
    assert source.reads == [(0, FIRST_ASKED)]


def test_a_large_vocabulary_takes_few_reads() -> None:
    tokens = [f"{index:08}" * 8 for index in range(260_000)]
    after = number("llama.context_length", 4, 99)
    content = header([LLAMA, array("tokenizer.ggml.tokens", TEXT, tokens), after], [row("a", (8,))])
    source = CountingSource(content, 1 << 34)
    model = read_gguf_from(source)
    assert model.metadata["tokenizer.ggml.tokens"] == ArrayInfo(TEXT, 260_000)
    assert model.context_length == 99
    sizes = [size for _, size in source.reads]
    assert sizes == sorted(sizes)
    assert len(sizes) <= 8
    assert source.moved_forward_only()
    assert source.asked <= len(content) + LARGEST_CHUNK


def test_long_lists_of_numbers_are_not_asked_for() -> None:
    scores = array("tokenizer.ggml.scores", 6, [1.0] * 2_000_000)
    source = CountingSource(header([LLAMA, scores, number("llama.context_length", 4, 7)], [row("a", (8,))]), 1 << 30)
    model = read_gguf_from(source)
    assert (model.metadata["tokenizer.ggml.scores"], model.context_length) == (ArrayInfo(6, 2_000_000), 7)
    assert source.asked < 2_000_000


@pytest.mark.parametrize("size", [0, 1, FIRST_ASKED - 60, FIRST_ASKED, FIRST_ASKED + 1, 1 << 20])
def test_texts_across_the_ends_of_reads(size: int) -> None:
    texts = [pair(f"t{index}", TEXT, text(f"{index}" * size)) for index in range(3)]
    lists = [array(f"l{index}", TEXT, ["x" * size, "", "y" * (size // 2)]) for index in range(3)]
    model = read(whole([LLAMA, *texts, *lists, number("end", 10, 77)]))
    assert [model.metadata[f"t{index}"] for index in range(3)] == [f"{index}" * size for index in range(3)]
    assert [model.metadata[f"l{index}"] for index in range(3)] == [ArrayInfo(TEXT, 3)] * 3
    assert model.metadata["end"] == 77


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        lambda: ([array("s", TEXT, [""] * (1 << 21))], [row("a", (8,))]),
        lambda: (
            [pair(f"t{index}", TEXT, text("\U0001f600" + "a" * 1_000_000)) for index in range(16)],
            [row("a", ())],
        ),
        lambda: ([array(f"n{index}", 12, [index + 0.5] * 4096) for index in range(127)], [row("a", ())]),
        lambda: ([number(f"k{index}", 12, index + 0.5) for index in range(60_000)], [row("a", ())]),
        lambda: ([], [row(f"blk.{index}", (32, 1, 1, 1), 0, index * 128) for index in range(1 << 16)]),
    ],
    ids=["texts", "text", "numbers", "entries", "tensors"],
)
def test_the_most_that_a_header_may_hold_fits_into_memory(model) -> None:
    pairs, rows = model()
    source = CountingSource(header([LLAMA, *pairs], rows), 1 << 40)
    tracemalloc.start()
    try:
        read_gguf_from(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
    assert max(size for _, size in source.reads) <= LARGEST_CHUNK


class ShortSource:
    """A file that became shorter while it was read."""

    size_bytes = 4096

    def read(self, offset: int, size: int) -> bytes:
        return whole([LLAMA])[offset : offset + size]


class FailingSource:
    """A connection that breaks."""

    size_bytes = 4096

    def read(self, offset: int, size: int) -> bytes:
        raise ConnectionResetError("gone")


def test_a_source_that_ends_early() -> None:
    with pytest.raises(CorruptModel, match="it ends at byte 160 of 4,096"):
        read_gguf_from(ShortSource())


def test_errors_of_the_source_pass_through() -> None:
    with pytest.raises(ConnectionResetError):
        read_gguf_from(FailingSource())
