"""Journeys run real processes: they are left out of ``make test-fast``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_models import write_lfm2
from hearth.paths import Paths, resolve_paths


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder as slow."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home with one tiny model, which is the default."""
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    write_lfm2(found.models / "tiny.gguf", context=8192)
    monkeypatch.setenv("HEARTH_MODEL", "tiny")
    return found
