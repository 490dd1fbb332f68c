"""``hearth models load|unload|pin|unpin`` and what ``hearth status`` says of memory, over a real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gguf_models
from hearth.cli.main import main
from hearth.paths import resolve_paths

pytestmark = pytest.mark.slow


@pytest.fixture
def models(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two models, no port; the daemon that comes up ends with the test."""
    monkeypatch.setenv("HEARTH_PORT", "0")
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    for name in ("one", "two"):
        gguf_models.write_llama(paths.models / f"{name}.gguf")
    yield paths.models
    main(["stop"])


def loaded(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    main(["status", "--json"])
    return {engine["model"]: engine for engine in json.loads(capsys.readouterr().out).get("engines", [])}


def test_load_pin_unload(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "unload", "one"]) == 4
    assert "no daemon runs" in capsys.readouterr().err
    assert main(["models", "load", "one"]) == 0
    assert re.search(r"one is loaded: context 2,048 tokens a request, 2 slots, \d+ MiB of RAM", capsys.readouterr().err)
    assert main(["models", "load", "two"]) == 0
    assert main(["models", "pin", "two"]) == 0
    assert "once loaded it stays" in capsys.readouterr().err
    assert {name: each["pinned"] for name, each in loaded(capsys).items()} == {"one": False, "two": True}
    main(["status"])
    shown = capsys.readouterr().out
    assert "engine   two: ready, pinned" in shown
    memory = next(line for line in shown.splitlines() if line.startswith("memory   RAM: "))
    assert "one 8 MiB" in memory
    assert "two 8 MiB" in memory
    assert main(["models", "remove", "one"]) == 1
    assert "run: hearth models unload one" in capsys.readouterr().err
    main(["models", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert "one    0.2 MB  loaded, context 2,048 tokens" in lines
    assert "two    0.2 MB  loaded, context 2,048 tokens; pinned" in lines
    assert main(["models", "unload", "one"]) == 0
    assert list(loaded(capsys)) == ["two"]
    assert main(["models", "unload", "one"]) == 4
    assert "'one' is not loaded" in capsys.readouterr().err
    assert main(["models", "unpin", "two"]) == 0
    assert main(["models", "unpin", "two"]) == 0
    assert "was not pinned" in capsys.readouterr().err


def test_what_is_not_there_or_broken_is_said(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("load", "pin"):
        assert main(["models", verb, "three"]) == 4
        assert "there is no model 'three'" in capsys.readouterr().err
    (models / "one.gguf").write_bytes(b"GGUF and no more")
    assert main(["models", "load", "one"]) == 4
    assert "one" in capsys.readouterr().err
    # What failed is not loaded, and what is gone is not pinned.
    assert main(["models", "pin", "one"]) == 0
    assert main(["models", "remove", "one"]) == 0
    assert main(["models", "unpin", "one"]) == 0
    assert "one was not pinned" in capsys.readouterr().err
