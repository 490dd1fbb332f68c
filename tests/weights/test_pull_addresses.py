"""Models that are named by an address instead of a repository: verified by what the owner says of them."""

import hashlib
from pathlib import Path

import pytest
from pulled_models import REPO, Shelf, noise, puller

from hearth.errors import ModelUnavailable, UsageError
from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.progress import Notice
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin
from hub_server import HubServer


def test_an_address_needs_its_sha256(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(400_000)
    url = server.add_loose("some%20model.gguf".replace("%20", "_"), data)
    hub = Hub(Access(server.endpoint), lambda _: None)
    with pytest.raises(UsageError, match="add --sha256"):
        hub.plan_url(url)
    for wrong in ("abc", "g" * 64):
        with pytest.raises(UsageError, match="no sha256"):
            hub.plan_url(url, wrong)
    with pytest.raises(UsageError, match="not an address"):
        hub.plan_url("http://me:secret@localhost/a.gguf", "0" * 64)
    plan = hub.plan_url(url, hashlib.sha256(data).hexdigest().upper())
    assert (plan.name, plan.size_bytes, plan.origin) == ("some_model", 400_000, Origin("url", url))
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["some_model"]["some_model.gguf"] == data
    secret = hub.plan_url(f"{url}?token=hf_x&Signature=hf_x", hashlib.sha256(data).hexdigest())
    assert (secret.name, secret.origin) == ("some_model", Origin("url", url))
    lying = hub.plan_url(url, "0" * 64)
    with pytest.raises(ModelUnavailable, match="damaged"):
        puller(tmp_path, shelf, Access(server.endpoint)).pull(lying)


def test_a_link_to_the_hub_is_known_by_the_hub(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(90_000)
    commit = server.add(REPO, {"x/a b.gguf": data})
    hub = Hub(Access(server.endpoint), lambda _: None)
    plan = hub.plan_url(f"{server.endpoint}/{REPO}/blob/main/x/a%20b.gguf?download=true")
    assert (plan.name, plan.origin) == ("a b", Origin("hub", REPO, commit))
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["a b"]["a b.gguf"] == data
    with pytest.raises(UsageError, match="check --sha256"):
        hub.plan_url(f"{server.endpoint}/{REPO}/resolve/main/x/a%20b.gguf", "0" * 64)
    with pytest.raises(ModelUnavailable, match=r"has no y\.gguf"):
        hub.plan_url(f"{server.endpoint}/{REPO}/resolve/main/y.gguf")


def test_a_file_that_is_replaced_behind_its_address_begins_again(
    tmp_path: Path, server: HubServer, shelf: Shelf
) -> None:
    old, new = noise(400_000, 1), noise(400_000, 2)
    url = server.add_loose("a.gguf", old)
    plan = Hub(Access(server.endpoint)).plan_url(url, hashlib.sha256(new).hexdigest())
    server.when_sent = (200_000, lambda: server.add_loose("a.gguf", new) and None)
    told: list[object] = []
    one = Tuning(connections=1, piece_bytes=1 << 16, backoff_s=0.0)
    puller(tmp_path, shelf, Access(server.endpoint), told, tuning=one).pull(plan)
    assert shelf.models["a"]["a.gguf"] == new
    assert any("another version" in event.text for event in told if isinstance(event, Notice))


@pytest.mark.parametrize("size", [99_999, 100_001])
def test_a_size_that_does_not_agree_is_refused(tmp_path: Path, server: HubServer, shelf: Shelf, size: int) -> None:
    url = server.add_loose("a.gguf", noise(100_000))
    plan = Hub(Access(server.endpoint)).plan_url(url, "0" * 64)
    server.add_loose("a.gguf", noise(size))
    with pytest.raises(ModelUnavailable, match=f"has {size} bytes as a.gguf; it must have 100000"):
        puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
