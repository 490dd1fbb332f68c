"""The key file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.errors import StateError
from hearth.gateway.keys import load_key


def test_a_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    load_key(path)
    text = path.read_text().strip()
    assert text.startswith("hearth_")
    assert len(text) > 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).matches(f"Bearer {text}", "")
    assert path.read_text().strip() == text
    assert list(tmp_path.iterdir()) == [path]


def test_two_homes_have_two_keys(tmp_path: Path) -> None:
    load_key(tmp_path / "one")
    load_key(tmp_path / "two")
    assert (tmp_path / "one").read_text() != (tmp_path / "two").read_text()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    path.write_text("a-key-of-my-own-choice\n")
    path.chmod(0o644)
    assert load_key(path).matches("bearer a-key-of-my-own-choice ", "")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"  \n", b"short", b"\xff\xfe\x00"])
def test_a_file_without_a_key_is_an_error_that_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "api-key"
    path.write_bytes(content)
    with pytest.raises(StateError) as caught:
        load_key(path)
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError):
        load_key(tmp_path)


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [("", ""), ("Bearer ", ""), ("Basic a-key-of-my-own-choice", ""), ("Bearer é", ""), ("", "a-key-of-my-own-choic")],
)
def test_what_is_not_the_key_does_not_match(tmp_path: Path, authorization: str, x_api_key: str) -> None:
    path = tmp_path / "api-key"
    path.write_text("a-key-of-my-own-choice\n")
    assert not load_key(path).matches(authorization, x_api_key)
