"""The header check: whole files pass, everything else is one of our errors."""

import os
import struct
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gguf_models
from hearth.errors import CorruptModel, ModelUnavailable
from hearth.weights.gguf import BLOCKS, read_header


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gguf_models.write_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf", context=1234).read_bytes()


def file(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("write", "architecture"), [(gguf_models.write_llama, "llama"), (gguf_models.write_lfm2, "lfm2")]
)
def test_a_whole_file(tmp_path: Path, write: object, architecture: str) -> None:
    assert callable(write)
    path = write(tmp_path / "m.gguf", context=777)
    header = read_header(path)
    assert (header.architecture, header.context_length, header.size_bytes) == (architecture, 777, path.stat().st_size)


def test_the_block_sizes_are_those_of_the_gguf_package() -> None:
    assert {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()} == BLOCKS


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"there is no file .*gone\.gguf"):
        read_header(tmp_path / "gone.gguf")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is a folder"):
        read_header(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelUnavailable, match="not a plain file"):
        read_header(tmp_path / "pipe.gguf")


def test_a_path_that_cannot_be() -> None:
    with pytest.raises(ModelUnavailable, match="cannot read"):
        read_header(Path("/nul\0byte.gguf"))


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    with pytest.raises(ModelUnavailable, match="cannot read"):
        read_header(tmp_path / "loop.gguf")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello" * 100, "not a GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a GGUF"),
        (b"GGUF", "cut short"),
        (b"GGUF" + struct.pack("<IQQ", 99, 1, 1), "version 99"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "0 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1), "damaged header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60), "damaged header"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 62), "past the end"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 1, 1, b"k", 77), "unknown kind 77"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 1, 1, 1, b"k", 9, 9, 1), "array of arrays"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 1, 1, 1, b"k", 9, 8, 1 << 61), "past the end"),
        (b"GGUF" + struct.pack("<IQQQIIQ", 3, 1, 0, 0, 0, 0, 0) + b"\0" * 20, "no architecture"),
        (b"GGUF" + struct.pack("<IQQQI", 3, 1, 0, 0, 99) + b"\0" * 900, "99 dimensions"),
    ],
)
def test_a_corrupt_header(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CorruptModel, match=said) as caught:
        read_header(file(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in caught.value.what


def test_a_file_cut_anywhere_is_corrupt(tmp_path: Path, whole: bytes) -> None:
    for size in [*range(0, len(whole), 997), len(whole) - gguf_models.WIDTH * 4]:
        with pytest.raises(CorruptModel):
            read_header(file(tmp_path, whole[:size]))


def test_a_cut_file_says_how_much_is_there(tmp_path: Path, whole: bytes) -> None:
    with pytest.raises(CorruptModel, match=r"100,000 of 2\d\d,\d\d\d bytes"):
        read_header(file(tmp_path, whole[:100_000]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_bytes_raise_nothing_but_our_errors(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole[:12_000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 8))
        wild = st.one_of(
            st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f"])
        )
        new = data.draw(wild)
        content[at : at + len(new)] = new
    # Harmless changes (in weights, names, texts) pass; whatever is raised else fails the test.
    with suppress(CorruptModel, ModelUnavailable):
        read_header(file(tmp_path, bytes(content) + whole[len(content) :]))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_corrupt(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(CorruptModel):
        read_header(file(tmp_path, b"GGUF\x03\0\0\0" + tail))
