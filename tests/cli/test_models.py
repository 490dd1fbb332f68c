"""``hearth models list``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gguf_models import write_llama
from hearth.cli.main import main
from hearth.cli.models.text import size_text, table
from hearth.weights.store import PILOT_FILE


def test_every_model_is_listed_without_a_daemon(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    (folder / "small.gguf").write_bytes(b"x" * 2_500_000)
    monkeypatch.setenv("HEARTH_MODEL", "small")
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["small"] == {
        "name": "small",
        "path": str(folder / "small.gguf"),
        "size_bytes": 2_500_000,
        "description": "small.gguf",
        "default": True,
        "loaded": False,
        "context_length": None,
        "pinned": False,
    }
    assert ("pilot" in rows) == PILOT_FILE.exists()
    assert main(["models", "list"]) == 0
    assert "small" in (shown := capsys.readouterr().out)
    assert "2.5 MB  the default" in shown
    assert not (home / "run").exists()


def test_a_default_model_that_is_not_here_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_MODEL", "huge")
    assert main(["models", "list"]) == 0
    assert "'huge' is not here" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "text"), [(0, "0.0 MB"), (6_200_000, "6.2 MB"), (17_559_178_144, "17.6 GB")])
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_file_that_cannot_be_named_is_left_out_with_a_word(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    (folder / "two\nlines.gguf").write_bytes(b"x")
    (folder / "bad\udcff.gguf").write_bytes(b"x")
    assert main(["models", "list", "--json"]) == 0
    captured = capsys.readouterr()
    assert "lines" not in captured.out
    assert captured.err.count("rename it") == 2
    assert r"two\nlines.gguf" in captured.err


def test_a_part_in_the_place_of_another_is_not_shown_as_a_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    write_llama(folder / "split.gguf", tensors_a_part=8)
    assert main(["models", "show", "split", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] > 0
    _first, second, third, *_rest = sorted(folder.glob("split-*.gguf"))
    second.write_bytes(third.read_bytes())
    assert main(["models", "show", "split"]) == 4
    shown = capsys.readouterr()
    assert (f"{second} is part 3 of" in shown.err, shown.out) == (True, "")


def test_a_small_model_has_some_parameters(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    write_llama(folder / "tiny.gguf")
    assert main(["models", "show", "tiny"]) == 0
    assert "llama, 0.10 million parameters" in capsys.readouterr().out


def test_columns_are_those_of_the_terminal() -> None:
    assert table([("模型", "1"), ("model", "2")]) == ["模型   1", "model  2"]
