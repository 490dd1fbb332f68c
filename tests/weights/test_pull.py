"""Fetching models: whole and verified, or not at all."""

import os
from pathlib import Path

import pytest
from pulled_models import QUICK, REPO, Shelf, interrupt, noise, plan_of, puller

from hearth.errors import Denied, HearthError, ModelUnavailable, StateError
from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.progress import Notice, Progress
from hearth.weights.fetch.pull import Puller, incoming_folder
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin
from hub_server import HubServer, Seen


def requested(server: HubServer) -> list[tuple[int, int]]:
    return sorted(seen.range for seen in server.of("storage") if seen.range)


def test_a_model_arrives_in_pieces_over_several_connections(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(3_000_001)
    commit = server.add(REPO, {"a-Q4_K_M.gguf": data, "README.md": b"hello"})
    told: list[object] = []
    tuning = Tuning(connections=3, piece_bytes=1 << 20)
    assert puller(tmp_path, shelf, Access(server.endpoint), told, tuning=tuning).pull(plan_of(server)) == "m"
    assert shelf.models == {"m": {"a-Q4_K_M.gguf": data}}
    assert shelf.origin == Origin("hub", REPO, commit)
    assert requested(server) == [(0, 1 << 20), (1 << 20, 2 << 20), (2 << 20, 3_000_001)]
    last = [event for event in told if isinstance(event, Progress)][-1]
    assert (last.file, last.number, last.count, last.done_bytes, last.size_bytes, last.eta_s) == (
        "a-Q4_K_M.gguf", 1, 1, 3_000_001, 3_000_001, last.eta_s,
    )  # fmt: skip
    assert not list((tmp_path / "models" / ".incoming").iterdir())


def test_all_parts_and_the_side_files_come_or_none(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    files = {f"UD-Q4_K_XL/big-UD-Q4_K_XL-0000{n}-of-00003.gguf": noise(90_000, n) for n in (1, 2, 3)}
    files |= {"mmproj-F16.gguf": noise(5_000, 9), "mmproj-F32.gguf": noise(9_000, 8)}
    server.add(REPO, files)
    plan = plan_of(server, quant="ud-q4_k_xl")
    hub = Access(server.endpoint)
    puller(tmp_path, shelf, hub).pull(plan)
    assert [(file.name, file.role) for file in shelf.files] == [
        ("big-UD-Q4_K_XL-00001-of-00003.gguf", "model"),
        ("big-UD-Q4_K_XL-00002-of-00003.gguf", "part"),
        ("big-UD-Q4_K_XL-00003-of-00003.gguf", "part"),
        ("mmproj-F16.gguf", "mmproj"),
    ]
    # The third part is damaged each time: nothing is published.
    broken = Shelf(tmp_path / "other")
    server.faults.wrong = 1.0
    with pytest.raises(ModelUnavailable, match="arrived damaged"):
        puller(tmp_path, broken, hub).pull(plan)
    assert broken.models == {}


def test_files_that_are_kept_in_git_are_verified_as_well(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    files = {"config.json": b"{}", "model.safetensors": noise(100_000), "empty.txt": b""}
    server.add(REPO, files)
    plan = plan_of(server, pattern="*")
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["m"] == files
    assert [file.role for file in shelf.files] == ["model", "part", "part"]


def test_a_stopped_pull_goes_on_where_it_was(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(900_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    one = Tuning(connections=1, piece_bytes=100_000, backoff_s=0.0)

    server.when_sent = (500_000, lambda: server.faults.__setattr__("error", 1.0))
    with pytest.raises(ModelUnavailable, match=r"answers 50[0-4]"):
        puller(tmp_path, shelf, Access(server.endpoint), tuning=one).pull(plan)
    server.faults.error = 0.0
    before = len(server.seen)
    hub = Access(server.endpoint)
    with pytest.raises(KeyboardInterrupt):
        Puller(tmp_path / "models", shelf.publish, hub, interrupt, tuning=one).pull(plan)
    told: list[object] = []
    puller(tmp_path, shelf, hub, told, tuning=one).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    again = [seen for seen in server.seen[before:] if seen.host == "storage"]
    assert min(seen.range[0] for seen in again if seen.range) >= 500_000
    assert sum(seen.sent for seen in server.of("storage")) < 1_200_000
    assert any(isinstance(event, Notice) and event.text.startswith("going on at") for event in told)


def test_the_token_goes_to_the_hub_alone(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(300_000)})
    server.gated[REPO] = {"hf_good"}
    server.tokens = {"hf_good", "hf_other"}
    access = Access(server.endpoint, "hf_good")
    plan = Hub(access).plan("m", REPO)
    puller(tmp_path, shelf, access).pull(plan)
    assert {seen.authorization for seen in server.of("hub")} == {"Bearer hf_good"}
    assert {seen.authorization for seen in server.of("storage")} == {None}
    assert len(server.of("storage")) > 2
    # The way to the storage is asked for once.
    assert len([seen for seen in server.of("hub") if "/resolve/" in seen.path]) == 1


@pytest.mark.parametrize(
    ("token", "what", "fix"),
    [
        ("", "is gated: its owners want a licence accepted", "then set HF_TOKEN"),
        ("hf_other", "this token's account was not let in", "accept the licence at"),
        ("hf_wrong", "does not take the token", "set HF_TOKEN to a valid one"),
    ],
)
def test_a_gated_model_says_how_to_get_in(
    tmp_path: Path, server: HubServer, shelf: Shelf, token: str, what: str, fix: str
) -> None:
    server.add(REPO, {"a.gguf": noise(300_000)})
    server.gated[REPO] = {"hf_good"}
    server.tokens = {"hf_good", "hf_other"}
    plan = plan_of(server)
    with pytest.raises(ModelUnavailable) as caught:
        puller(tmp_path, shelf, Access(server.endpoint, token)).pull(plan)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert f"{server.endpoint}/" in caught.value.fix
    assert shelf.models == {}


def test_a_wrong_file_is_deleted_and_fetched_again_once(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(200_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    told: list[object] = []
    server.faults.wrong, server.faults.limit = 1.0, 1
    puller(tmp_path, shelf, Access(server.endpoint), told).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    assert [event.text for event in told if isinstance(event, Notice) and "fetched again" in event.text]
    server.faults.limit = 1_000
    empty = Shelf(tmp_path / "none")
    with pytest.raises(ModelUnavailable, match=r"arrived damaged.*again; it was deleted"):
        puller(tmp_path, empty, Access(server.endpoint)).pull(plan)
    assert empty.models == {}
    assert list(incoming_folder(tmp_path / "models", plan).iterdir()) == []


def test_a_branch_that_moves_does_not_move_the_download(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(500_000)
    commit = server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    server.faults.moves = True
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    assert shelf.origin == Origin("hub", REPO, commit)
    assert plan_of(server).incoming_id != plan.incoming_id


@pytest.mark.parametrize("fault", ["ignore_range", "expired", "new_etag", "trickle", "cut"])
def test_what_servers_do_wrong(tmp_path: Path, server: HubServer, shelf: Shelf, fault: str) -> None:
    data = noise(700_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    setattr(server.faults, fault, 0.5)
    server.faults.limit = 30
    puller(tmp_path, shelf, Access(server.endpoint), tuning=Tuning(piece_bytes=1 << 16, tries=40, backoff_s=0.0)).pull(
        plan
    )
    assert shelf.models["m"]["a.gguf"] == data


def test_a_server_without_ranges_sends_it_all(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(700_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    server.faults.ignore_range = 1.0
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    assert [seen.sent for seen in server.of("storage")] == [700_000]


def test_a_byte_that_was_hashed_is_never_written_again(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(700_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    server.faults.ignore_range = 1.0
    server.script = [(500_000, -1), (-1, 1000)]
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    assert [seen.sent for seen in server.of("storage")] == [500_000, 700_000]


def test_each_range_is_asked_of_the_same_content(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(700_000)})
    plan = plan_of(server)
    with pytest.raises(KeyboardInterrupt):
        Puller(tmp_path / "models", shelf.publish, Access(server.endpoint), interrupt, tuning=QUICK).pull(plan)
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    etag = f'"{plan.files[0].sha256[:32]}"'
    assert [seen.if_range for seen in server.of("storage")] == [None, *[etag] * (len(server.of("storage")) - 1)]
    assert len(server.of("storage")) > 3


def test_no_room_is_said_before_anything_is_fetched(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(300_000)})
    plan = plan_of(server)
    with pytest.raises(StateError, match=r"needs 0\.00 GB more in .* are free") as caught:
        puller(tmp_path, shelf, Access(server.endpoint), free_bytes=lambda _: 1000).pull(plan)
    assert "make room" in caught.value.fix
    assert not server.of("storage")


def test_a_disk_that_fills_up_keeps_what_is_there(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(600_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)

    def write(descriptor: int, view: memoryview, at: int) -> int:
        if at >= 300_000:
            raise OSError(28, "No space left on device")
        return os.pwrite(descriptor, view[: 300_000 - at], at)

    full = Tuning(connections=1, piece_bytes=100_000, write=write)
    with pytest.raises(StateError, match="No space left on device · make room there and pull again"):
        puller(tmp_path, shelf, Access(server.endpoint), tuning=full).pull(plan)
    assert shelf.models == {}
    before = len(server.seen)
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert shelf.models["m"]["a.gguf"] == data
    assert min(seen.range[0] for seen in server.seen[before:] if seen.range) == 300_000


def test_offline_is_refused_before_any_socket(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(1000)})
    plan = plan_of(server)
    before = len(server.seen)
    offline = Access(server.endpoint, offline=True)
    with pytest.raises(Denied, match="run it without --offline"):
        puller(tmp_path, shelf, offline).pull(plan)
    for ask in (lambda: Hub(offline).plan("m", REPO), lambda: Hub(offline).plan_url("http://x/a.gguf", "0" * 64)):
        with pytest.raises(Denied):
            ask()
    assert len(server.seen) == before


def test_what_is_not_of_the_plan_is_cleared_away(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(100_000)})
    plan = plan_of(server)
    folder = incoming_folder(tmp_path / "models", plan)
    folder.mkdir(parents=True)
    (folder / ".abc.tmp").write_bytes(b"left by a crash")
    (folder / "a.gguf.part").write_bytes(b"x" * 100_000)
    (folder / "a.gguf.part.json").write_bytes(b"{ torn")
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert sum(seen.sent for seen in server.of("storage")) == 100_000
    folder.mkdir()
    (folder / "a.gguf").write_bytes(b"not all of it")
    puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert sum(seen.sent for seen in server.of("storage")) == 200_000


def test_redirects_end_somewhere(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(1000)})
    plan = plan_of(server)
    server.loops = True
    with pytest.raises(ModelUnavailable, match="more than 5 redirects"):
        puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)


def test_a_host_that_is_not_there(tmp_path: Path, shelf: Shelf, free_port: int) -> None:
    hub = Hub(Access(f"http://127.0.0.1:{free_port}"), lambda _: None)
    with pytest.raises(ModelUnavailable, match="cannot be asked"):
        hub.plan("m", REPO)
    with pytest.raises(ModelUnavailable, match="Connection refused"):
        hub.plan_url(f"http://127.0.0.1:{free_port}/a.gguf", "0" * 64)


def test_every_error_says_what_helps(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    server.add(REPO, {"a.gguf": noise(1000)})
    plan = plan_of(server)
    server.faults.error = 1.0
    with pytest.raises(HearthError) as caught:
        puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)
    assert caught.value.fix == "pull again later: it goes on where it was"
    assert isinstance(server.seen[0], Seen)
