"""The reader says what the gguf package says, asks for no weights, and names the byte of what cannot be."""

import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gguf_models
from gguf_samples import (
    ARRAY,
    LETTERS,
    LLAMA,
    TEXT,
    CountingSource,
    array,
    header,
    number,
    pair,
    row,
    text,
    whole,
    write_samples,
)
from hearth.errors import CorruptModel
from hearth.weights.gguf import BLOCKS, ArrayInfo, Gguf, TensorInfo, read_gguf, read_gguf_from, read_header
from hearth.weights.gguf_cursor import LARGEST_CHUNK, LONGEST_HEADER
from hearth.weights.store import PILOT_FILE

FIRST_ASKED = 256 << 10


def read(content: bytes, size_bytes: int = 0) -> Gguf:
    return read_gguf_from(CountingSource(content, size_bytes), "m.gguf")


def told_by_the_package(path: Path) -> Gguf:
    reader = gguf.GGUFReader(path)
    metadata = {}
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        metadata[key] = field.contents()
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            inner = int(field.parts[3][0])
            values = tuple(metadata[key])
            metadata[key] = values if inner != TEXT and len(values) <= 4096 else ArrayInfo(inner, len(values))
    tensors = tuple(
        TensorInfo(
            tensor.name, tuple(tensor.shape.tolist()), int(tensor.tensor_type), tensor.data_offset, tensor.n_bytes
        )
        for tensor in reader.tensors
    )
    version = int(reader.fields["GGUF.version"].parts[0][0])
    return Gguf(version, int(reader.alignment), metadata, tensors, reader.data_offset, path.stat().st_size)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_samples(tmp_path_factory.mktemp("samples"))


def test_every_sample_is_as_the_package_says(samples: list[Path]) -> None:
    assert len(samples) >= 7
    for path in samples:
        ours, theirs = read_gguf(path), told_by_the_package(path)
        assert ours.metadata == theirs.metadata, path
        assert [*map(type, ours.metadata.values())] == [*map(type, theirs.metadata.values())], path
        assert ours.tensors == theirs.tensors, path
        assert (ours.version, ours.alignment, ours.size_bytes) == (theirs.version, theirs.alignment, theirs.size_bytes)
        # The package pads a header even when no tensors follow.
        assert 0 <= theirs.header_bytes - ours.header_bytes < (1 if ours.tensors else ours.alignment), path


def test_the_pilot_is_as_the_package_says() -> None:
    ours, theirs = read_gguf(PILOT_FILE), told_by_the_package(PILOT_FILE)
    assert ours == theirs
    assert ours.architecture
    assert ours.context_length > 0
    assert ours.header_bytes < ours.size_bytes
    assert max(tensor.offset + tensor.size_bytes for tensor in ours.tensors) <= ours.size_bytes


def test_tensors_lie_where_the_file_says(tmp_path: Path) -> None:
    path = gguf_models.write_llama(tmp_path / "m.gguf")
    norm = next(tensor for tensor in read_gguf(path).tensors if tensor.name == "output_norm.weight")
    data = path.read_bytes()[norm.offset : norm.offset + norm.size_bytes]
    assert np.frombuffer(data, dtype=np.float32).tolist() == [1.0] * gguf_models.WIDTH


def test_parts_of_a_split_model(samples: list[Path]) -> None:
    first, *others = [read_gguf(path) for path in samples if path.name.startswith("split-")]
    count = 1 + len(others)
    assert (first.architecture, first.tensors, first.part_count) == ("llama", (), count)
    assert all((part.architecture, part.context_length, part.part_count) == ("", 0, count) for part in others)
    assert all({key.split(".")[0] for key in part.metadata} == {"split"} and part.tensors for part in others)


def test_a_merged_model_is_a_whole_one() -> None:
    merged = number("split.count", 2, 0)
    assert read(whole([LLAMA, merged])).part_count == 1
    with pytest.raises(CorruptModel, match="names no architecture"):
        read(whole([merged]))


def test_from_ranges_as_from_a_file(samples: list[Path]) -> None:
    for path in samples:
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


def test_what_is_not_kept_is_counted() -> None:
    empty = [array("none", 4, []), array("no_texts", TEXT, [])]
    model = read(whole([LLAMA, *empty, pair("novel", TEXT, text("a" * ((1 << 20) + 1))), array("x", 0, [1] * 5000)]))
    assert model.metadata["none"] == ()
    assert model.metadata["no_texts"] == ArrayInfo(TEXT, 0)
    assert model.metadata["novel"] == ArrayInfo(0, (1 << 20) + 1)
    assert model.metadata["x"] == ArrayInfo(0, 5000)


def test_an_empty_list_that_ends_the_header_of_a_part() -> None:
    part = [number("split.count", 2, 2), number("split.no", 2, 1), array("x", 0, [0] * 300_000), array("none", 4, [])]
    assert read(header(part, [])).metadata["none"] == ()


def test_texts_that_are_not_utf8() -> None:
    assert read(whole([LLAMA, pair("k", TEXT, text(b"a\xffb"))])).metadata["k"] == "a\N{REPLACEMENT CHARACTER}b"


def test_version_2_is_read() -> None:
    assert read(whole([LLAMA], version=2)).version == 2


def test_a_big_endian_file_is_called_so(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "big.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("a", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CorruptModel, match=r"big-endian \(at byte 4: version 3\).*little-endian") as caught:
        read_gguf(tmp_path / "big.gguf")
    assert "little-endian" in caught.value.fix


def test_a_tensor_of_an_unknown_type_is_judged_by_its_offset() -> None:
    later = row("new", (100,), 4711, 32)
    (_, unknown) = read(whole([LLAMA], [row("a", (8,)), later], data=33)).tensors
    assert (unknown.kind, unknown.size_bytes) == (4711, 0)
    with pytest.raises(CorruptModel, match=r"is cut short.*'new'"):
        read(whole([LLAMA], [row("a", (8,)), later], data=32))
    with pytest.raises(CorruptModel, match="'new', which overlaps 'a'"):
        read(whole([LLAMA], [row("a", (16,)), later], data=64))


def test_tensors_may_come_in_any_order_and_with_gaps() -> None:
    rows = [row("late", (8,), 0, 128), row("early", (8,), 0, 0), row("none", (0, 8), 0, 32), row("one", (), 0, 64)]
    tensors = read(whole([LLAMA], rows, data=160)).tensors
    assert [(tensor.name, tensor.size_bytes) for tensor in tensors] == [
        ("late", 32), ("early", 32), ("none", 0), ("one", 4)
    ]  # fmt: skip


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


def test_the_header_check_rests_on_the_reader(samples: list[Path]) -> None:
    for path in samples:
        light, full = read_header(path), read_gguf(path)
        assert (light.architecture, light.context_length, light.size_bytes) == (
            full.architecture,
            full.context_length,
            full.size_bytes,
        )


def ranges(kind: int) -> st.SearchStrategy[float]:
    if kind == 7:
        return st.booleans()
    bits = struct.calcsize(LETTERS[kind]) * 8
    if kind in (6, 12):
        return st.floats(allow_nan=False, width=bits)
    low, high = (0, (1 << bits) - 1) if LETTERS[kind].isupper() else (-(1 << bits - 1), (1 << bits - 1) - 1)
    return st.integers(low, high)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
kinds = st.sampled_from(sorted(LETTERS))
values = st.one_of(
    kinds.flatmap(lambda kind: st.tuples(st.just(kind), ranges(kind))),
    words.map(lambda word: (TEXT, word)),
    kinds.flatmap(lambda kind: st.tuples(st.just(kind), st.lists(ranges(kind), max_size=9))),
    st.lists(words, max_size=9).map(lambda many: (TEXT, many)),
)
# Keys of our own, so that none is one whose type is prescribed.
metadata = st.dictionaries(words.map(lambda word: f"x.{word}"), values, max_size=8)
tables = st.dictionaries(
    words, st.tuples(st.sampled_from(sorted(BLOCKS)), st.lists(st.integers(0, 3), max_size=3)), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(entries=metadata, table=tables, cut=st.integers(1, 1 << 30))
def test_what_is_written_is_read(entries: dict, table: dict, cut: int) -> None:
    pairs, expected = [LLAMA], {"general.architecture": "llama"}
    for key, (kind, value) in entries.items():
        if isinstance(value, list):
            pairs.append(array(key, kind, value))
            expected[key] = ArrayInfo(TEXT, len(value)) if kind == TEXT else tuple(value)
        else:
            pairs.append(pair(key, TEXT, text(value)) if kind == TEXT else number(key, kind, value))
            expected[key] = value
    rows, tensors, end = [], [], 0
    for name, (kind, rest) in table.items():
        per_block, block_bytes = BLOCKS[kind]
        shape = (2 * per_block, *rest)
        rows.append(row(name, shape, kind, end))
        tensors.append((name, shape, kind, 2 * block_bytes * int(np.prod(rest, dtype=int))))
        end += tensors[-1][3] + -tensors[-1][3] % 32
    content = whole(pairs, rows, end)
    model = read(content)
    assert model.metadata == expected
    assert [(tensor.name, tensor.shape, tensor.kind, tensor.size_bytes) for tensor in model.tensors] == tensors
    assert model.header_bytes == len(content) - end
    with pytest.raises(CorruptModel):
        read(content[: cut % (len(content) - end if end else len(header(pairs, rows)))])


@settings(max_examples=200, deadline=None)
@given(tail=st.binary(max_size=400), counts=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_any_bytes_give_nothing_but_our_errors(tail: bytes, counts: tuple[int, int]) -> None:
    source = CountingSource(b"GGUF" + struct.pack("<IQQ", 3, *counts) + tail, 1 << 20)
    with suppress(CorruptModel):
        read_gguf_from(source)
    assert source.moved_forward_only()
