"""What several tests of the weights share: the packaged catalogue, small GGUFs, a hub on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulled_models import Shelf

from gguf_samples import write_samples
from hearth.weights.catalogue import Catalogue, load_catalogue
from hub_server import HubServer


@pytest.fixture(scope="session")
def packaged() -> Catalogue:
    """The catalogue that ships with the package, with nothing of an owner's over it."""
    return load_catalogue(None)


@pytest.fixture(scope="session")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small GGUFs of several architectures, to be read only."""
    return write_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment that the tests were started in: no proxy, no certificates, no hub or token."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "SSL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[HubServer]:
    """A hub on this machine, with nothing on it yet."""
    with HubServer() as running:
        yield running


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Where pulls publish, with nothing on it yet."""
    return Shelf(tmp_path / "shelf")
