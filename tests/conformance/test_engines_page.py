"""docs/engines.md says what the engines declare and the suite finds."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import engines_page  # noqa: E402  # a script is no package: its folder must be on the path first
from hearth.runtime.capabilities import Capabilities  # noqa: E402  # the same


def test_the_page_is_as_the_script_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert engines_page.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "engines.md"
    page.write_text(engines_page.PAGE.read_text().replace("| yes |", "| no |", 1))
    monkeypatch.setattr(engines_page, "PAGE", page)
    assert engines_page.main(["--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    assert engines_page.main([]) == 0
    assert page.read_text() == (ROOT / "docs" / "engines.md").read_text()


def test_every_capability_has_a_row() -> None:
    assert list(engines_page.TITLES) == [field.name for field in dataclasses.fields(Capabilities)]
