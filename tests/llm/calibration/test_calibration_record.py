"""What follows from a calibration, and the file that keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import StateError
from hearth.llm.calibration.record import Calibration, Prefix, Tally, forget, load, measured, save, verdict

AS_TEXT = {"dialect": "text", "edit": "search_replace", "parallel": False}


def found(**fields: Any) -> Calibration:
    whole = {"model": "m", "at": "", "when": "2026-11-23", "seconds": 9.5, "dialect": "chat", "own": "replace"}
    return Calibration(**{"calls": Tally(3, 3), **whole, **fields})


def edits(**shares: tuple[int, int, int]) -> dict[str, Tally]:
    return {form: Tally(right, tried, tokens) for form, (right, tried, tokens) in shares.items()}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        (
            {"calls": Tally(0, 2)},
            {"dialect": "text", "edit": "search_replace", "parallel": False},
        ),
        ({"calls": Tally(0, 1)}, {}),
        ({"dialect": "harmony", "calls": Tally(0, 3)}, {}),
        ({"dialect": "text"}, {"dialect": "text"}),
        ({"parallel": Tally(2, 2)}, {"parallel": True}),
        ({"parallel": Tally(1, 2)}, {"parallel": False}),
        ({"parallel": Tally(1, 1)}, {}),
        ({"reasoning": Tally(3, 3), "prefix": Prefix(900, 900, 900, 400)}, {"echo": True}),
        ({"reasoning": Tally(3, 3), "prefix": Prefix(900, 300, 900, 800)}, {"echo": False}),
        ({"reasoning": Tally(3, 3), "prefix": Prefix(900, 850, 900, 890)}, {"echo": True}),
        ({"reasoning": Tally(3, 3), "prefix": Prefix(900, 0, 900, 0)}, {}),
        ({"reasoning": Tally(0, 3), "prefix": Prefix(900, 300, 900, 800)}, {}),
        ({"reasoning": Tally(3, 3), "prefix": Prefix(900, 300, 0, 0)}, {}),
        # The profile's own form stays unless another is clearly better.
        ({"edits": edits(replace=(8, 10, 900), lines=(9, 10, 900))}, {"edit": "replace"}),
        ({"edits": edits(replace=(7, 10, 900), lines=(9, 10, 900))}, {"edit": "lines"}),
        # Of two that are right as often, the one with fewer tokens.
        ({"edits": edits(replace=(2, 10, 900), lines=(9, 10, 900), hashline=(9, 10, 800))}, {"edit": "hashline"}),
        # Three are too few to judge by.
        ({"edits": edits(replace=(0, 3, 0), lines=(3, 3, 100))}, {}),
        ({"edits": edits(replace=(0, 10, 0), lines=(0, 10, 0))}, {}),
        # Who cannot carry a long argument must not be asked for whole files.
        ({"edits": edits(replace=(2, 10, 9), whole=(10, 10, 9)), "long": Tally(0, 2)}, {"edit": "replace"}),
        ({"edits": edits(replace=(2, 10, 9), whole=(10, 10, 9)), "long": Tally(1, 2)}, {"edit": "whole"}),
        ({"edits": edits(replace=(2, 10, 9), whole=(10, 10, 9)), "long": Tally()}, {"edit": "whole"}),
        ({"own": "symbol", "edits": edits(replace=(10, 10, 9))}, {}),
    ],
)
def test_what_follows(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert verdict(found(**fields)) == expected


@pytest.mark.parametrize("model", ["qwen3:8b", "/models/a b.gguf", "ä@shop", "..", "x" * 400, "\udcff"])
def test_it_is_kept_and_forgotten(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "calibration"
    plain = model.encode("utf-8", errors="replace").decode()
    one = found(model=plain, parallel=Tally(2, 2))
    assert load(folder, plain) is None
    assert measured(folder, plain) is None
    file = save(folder, one)
    assert file.parent == folder
    assert load(folder, plain) == one
    assert measured(folder, plain) == {"parallel": True}
    save(folder, found(model=plain, parallel=Tally(0, 2)))
    assert measured(folder, plain) == {"parallel": False}
    assert [each.name for each in folder.iterdir()] == [file.name]
    assert forget(folder, plain)
    assert not forget(folder, plain)
    assert measured(folder, plain) is None


def test_a_model_elsewhere_is_another(tmp_path: Path) -> None:
    save(tmp_path, found(at="http://a:1"))
    assert load(tmp_path, "m") is None
    assert load(tmp_path, "m", "http://b:1") is None
    assert load(tmp_path, "m", "http://a:1") == found(at="http://a:1")


@given(st.binary(max_size=200) | st.sampled_from([b"{}", b'{"version":2}', b"[]", b"null"]))
def test_a_damaged_file_is_as_none(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("calibration")
    save(folder, found()).write_bytes(data)
    assert load(folder, "m") is None


def test_one_of_another_version_is_as_none(tmp_path: Path) -> None:
    save(tmp_path, found(version=2))
    assert load(tmp_path, "m") is None


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "calibration").write_text("a file")
    with pytest.raises(StateError, match="cannot write"):
        save(tmp_path / "calibration", found())
