"""The reader says what the gguf package says, and what was written."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gguf_models
from gguf_samples import LETTERS, LLAMA, TEXT, array, header, number, pair, read, row, text, whole
from hearth.errors import CorruptModel
from hearth.weights.gguf import BLOCKS, ArrayInfo, Gguf, TensorInfo, read_gguf, read_header
from hearth.weights.store import PILOT_FILE


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


def test_every_sample_is_as_the_package_says(sample_files: list[Path]) -> None:
    assert len(sample_files) >= 7
    for path in sample_files:
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


def test_parts_of_a_split_model(sample_files: list[Path]) -> None:
    first, *others = [read_gguf(path) for path in sample_files if path.name.startswith("split-")]
    count = 1 + len(others)
    assert (first.architecture, first.tensors, first.part_count) == ("llama", (), count)
    assert all((part.architecture, part.context_length, part.part_count) == ("", 0, count) for part in others)
    assert all({key.split(".")[0] for key in part.metadata} == {"split"} and part.tensors for part in others)


def test_a_merged_model_is_a_whole_one() -> None:
    merged = number("split.count", 2, 0)
    assert read(whole([LLAMA, merged])).part_count == 1
    with pytest.raises(CorruptModel, match="names no architecture"):
        read(whole([merged]))


def test_the_header_check_rests_on_the_reader(sample_files: list[Path]) -> None:
    for path in sample_files:
        light, full = read_header(path), read_gguf(path)
        assert (light.architecture, light.context_length, light.size_bytes) == (
            full.architecture,
            full.context_length,
            full.size_bytes,
        )


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
