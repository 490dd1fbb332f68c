"""What is written down of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import StateError
from hearth.weights.manifest import (
    Manifest,
    Origin,
    StoredFile,
    check_model_name,
    decode_manifest,
    encode_manifest,
    manifest_file_name,
    read_manifest,
    with_model_role,
    write_manifest,
)

HUB = Origin("hub", "unsloth/gpt-oss-20b-GGUF", "d449b42d93e1c2c7bda5312f5c25c8fb91dfa9b4")
MODEL = StoredFile("gpt-oss-20b-F16.gguf", 13_792_638_784, "ab" * 32)
WHOLE = Manifest("gpt-oss:20b", HUB, (MODEL,), "1f2e", 1_767_225_600.5)


def damage(change: str, to: str) -> bytes:
    text = encode_manifest(WHOLE).decode()
    assert change in text
    return text.replace(change, to).encode()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, WHOLE)
    assert [path.name for path in tmp_path.iterdir()] == ["gpt-oss%3A20b.json"]
    assert read_manifest(tmp_path / "gpt-oss%3A20b.json") == WHOLE
    assert WHOLE.size_bytes == 13_792_638_784
    assert WHOLE.file_of("model") == MODEL
    assert WHOLE.file_of("mmproj") is None


def test_no_manifest_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"version": 1}', "is damaged"),
        (encode_manifest(WHOLE)[:200], "is damaged"),
        (damage('"version": 1', '"version": 2'), "has version 2; this hearth reads version 1"),
        (damage('"version": 1', '"version": 1, "more": 1'), "unknown field `more`"),
        (damage('"role": "model"', '"role": "draft"'), "exactly one file has the role of the model"),
        (damage('"role": "model"', '"role": "wheel"'), "Invalid enum value 'wheel'"),
        (damage("gpt-oss-20b-F16.gguf", "../../../etc/passwd"), "is no plain file name"),
        (damage('"folder": "1f2e"', '"folder": "../1f2e"'), "is no plain file name"),
        (damage('"folder": "1f2e"', '"folder": ""'), "files of our own are in a folder"),
        (damage('"size_bytes": 13792638784', '"size_bytes": -1'), "Expected `int` >= 0"),
        (damage("ab" * 32, "ab" * 31), "matching regex"),
        (damage('"path": ""', '"path": "/etc/passwd"'), "an absolute path belongs to a reference"),
        (damage('"path": "",\n        "how": "own"', '"path": "/\\u0000", "how": "reference"'), "control character"),
        (damage('"how": "own"', '"how": "reference"'), "an absolute path belongs to a reference"),
        (damage('"name": "gpt-oss:20b"', '"name": "another"'), "it is the manifest of 'another'"),
        (damage('"name": "gpt-oss:20b"', '"name": "two\\nlines"'), "a model cannot be called"),
    ],
)
def test_a_damaged_one_is_an_error_that_names_the_file(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "gpt-oss%3A20b.json"
    path.write_bytes(data)
    with pytest.raises(StateError) as caught:
        read_manifest(path)
    assert str(path) in caught.value.what
    assert why in caught.value.what
    assert caught.value.fix


def test_two_files_of_one_name_are_refused() -> None:
    upper = StoredFile("GPT-oss-20b-F16.gguf", 1, role="mmproj")
    with pytest.raises(ValueError, match="the same name"):
        Manifest("two", HUB, (MODEL, upper), "1f2e")


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_but_a_state_error_comes_of_any_bytes(data: bytes | str) -> None:
    with pytest.raises(StateError):
        decode_manifest(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"), Path("x.json"))


@settings(max_examples=60)
@given(st.text(max_size=30), st.text(max_size=30))
def test_every_name_has_a_file_of_its_own(one: str, other: str) -> None:
    try:
        check_model_name(one)
        check_model_name(other)
    except ValueError:
        return
    for name in (one, other):
        file = manifest_file_name(name)
        assert file.isascii()
        assert "/" not in file
        assert not file.startswith(".")
    assert (manifest_file_name(one) == manifest_file_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["", " a", "a ", ".", "..", ".a", "/a", "-n", "a\0b", "a\nb", "x" * 300, "\udcff"])
def test_some_texts_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="model"):
        check_model_name(name)


@pytest.mark.parametrize("name", ["gpt-oss:20b", "unsloth/GLM-4.7-Flash-GGUF:UD-Q4_K_XL", "ünï", "a b", "it's", "100%"])
def test_these_are_names(name: str) -> None:
    check_model_name(name)


def test_the_first_part_is_the_model() -> None:
    parts = tuple(StoredFile(f"big-{number:05}-of-00003.gguf", number, role="part") for number in (3, 1, 2))
    projector = StoredFile("mmproj-F16.gguf", 9, role="mmproj")
    assert [file.role for file in with_model_role((*parts, projector))] == ["part", "model", "part", "mmproj"]
    assert with_model_role((MODEL, projector)) == (MODEL, projector)
