"""``hearth kv`` as a person types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hearth.cli.main import main
from hearth.paths import resolve_paths
from hearth.runtime.kv.store import KvStore


@pytest.fixture
def store(home: Path) -> KvStore:
    made = KvStore(resolve_paths({"HEARTH_HOME": str(home)}).kv)
    made.open()
    return made


def add(store: KvStore, key: str, model: str = "m", *, base: bool = False) -> str:
    part = store.new_part()
    part.write_bytes(os.urandom(2 << 20))
    return store.add(part, 2 << 20, model, {key: 1200}, 1234, base=base)


def test_list_shows_what_is_saved(store: KvStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kv", "list"]) == 0
    assert capsys.readouterr().out == "nothing is saved\n"
    add(store, "s", base=True)
    name = add(store, "a")
    assert main(["kv", "list"]) == 0
    shown = capsys.readouterr()
    assert "system text and tools" in shown.out
    assert f"{name[:8]}  m  1,234 tokens  2 MiB" in shown.out
    assert "4 MiB of" in shown.err
    assert main(["kv", "list", "--json"]) == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} == {
        entry.record.name for entry in store.entries()
    }


def test_show_checks_the_bytes(store: KvStore, capsys: pytest.CaptureFixture[str]) -> None:
    name = add(store, "a")
    assert main(["kv", "show", name[:6]]) == 0
    assert "whole" in capsys.readouterr().out
    path = store.folder / f"{name}.kv"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert main(["kv", "show", name, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["whole"] is False
    assert main(["kv", "show", "nothing"]) == 2
    assert "no saved state of the name 'nothing' · run: hearth kv list" in capsys.readouterr().err


def test_clear_and_prune_remove_files(store: KvStore, capsys: pytest.CaptureFixture[str]) -> None:
    for key, model in (("a", "one"), ("b", "two"), ("c", "two")):
        add(store, key, model)
    assert main(["kv", "clear", "one"]) == 0
    assert main(["kv", "prune"]) == 0
    assert len(list(store.folder.glob("*.kv"))) == 2
    assert main(["kv", "prune", "--to", "0.003"]) == 0
    assert len(list(store.folder.glob("*.kv"))) == 1
    assert main(["kv", "prune", "--to", "-1"]) == 2
    assert main(["kv", "clear"]) == 0
    assert main(["kv", "clear"]) == 0
    assert list(store.folder.iterdir()) == []
    assert capsys.readouterr().err.splitlines() == [
        "removed 1 saved state, 2 MiB",
        "nothing to remove",
        "removed 1 saved state, 2 MiB",
        "hearth: --to -1: must be 0 or more GiB · run: hearth kv prune --help",
        "removed 1 saved state, 2 MiB",
        "nothing to remove",
    ]
