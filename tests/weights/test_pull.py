"""Fetching models: whole and verified, or not at all."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.errors import Denied, HearthError, ModelUnavailable, StateError, UsageError
from hearth.weights.fetch.claim import claimed, is_claimed
from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.plan import Plan
from hearth.weights.fetch.progress import Notice, Progress
from hearth.weights.fetch.pull import Puller, incoming_folder, lock_of
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.manifest import Origin, StoredFile
from hub_server import HubServer, Seen

REPO = "local/model"
QUICK = Tuning(piece_bytes=64 << 10, sync_bytes=64 << 10, backoff_s=0.0, tick_s=0.002)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Shelf:
    """Takes what is published, as a store does, and looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, dict[str, bytes]] = {}
        self.files: tuple[StoredFile, ...] = ()
        self.origin: Origin | None = None

    def publish(self, name: str, origin: Origin, incoming: Path, files: tuple[StoredFile, ...]) -> str:
        assert sorted(path.name for path in incoming.iterdir()) == sorted(file.name for file in files)
        self.models[name] = {file.name: (incoming / file.name).read_bytes() for file in files}
        for file in files:
            data = self.models[name][file.name]
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
        self.folder.mkdir(exist_ok=True)
        incoming.rename(self.folder / str(len(list(self.folder.iterdir()))))
        self.files, self.origin = files, origin
        return name


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def puller(tmp_path: Path, shelf: Shelf, access: Access, told: list[object] | None = None, **more: object) -> Puller:
    heard = told if told is not None else []
    options = {"tuning": QUICK, **more}
    return Puller(tmp_path / "models", shelf.publish, access, heard.append, **options)  # type: ignore[arg-type]  # a mix


def plan_of(server: HubServer, name: str = "m", **wanted: object) -> Plan:
    return Hub(Access(server.endpoint), lambda _: None).plan(name, REPO, **wanted)  # type: ignore[arg-type]  # a mix


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


def interrupt(event: object) -> None:
    if isinstance(event, Progress) and event.done_bytes:
        raise KeyboardInterrupt


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


def test_two_pulls_of_the_same_files_take_turns(tmp_path: Path, server: HubServer, shelf: Shelf) -> None:
    data = noise(300_000)
    server.add(REPO, {"a.gguf": data})
    plan = plan_of(server)
    access = Access(server.endpoint)
    waiting, blocked = threading.Event(), threading.Event()
    first: list[object] = []

    def hold(name: str, origin: Origin, incoming: Path, files: tuple[StoredFile, ...]) -> str:
        blocked.set()
        assert waiting.wait(20)
        return shelf.publish(name, origin, incoming, files)

    thread = threading.Thread(target=lambda: first.append(Puller(
        tmp_path / "models", hold, access, lambda _: None, tuning=QUICK).pull(plan)))  # fmt: skip
    thread.start()
    assert blocked.wait(20)
    with pytest.raises(StateError, match=rf"already \(process {os.getpid()}\)"):
        puller(tmp_path, shelf, access).pull(plan, wait=False)
    told: list[object] = []

    def tell(event: object) -> None:
        told.append(event)
        waiting.set()

    second = Puller(tmp_path / "models", shelf.publish, access, tell, tuning=QUICK)
    assert second.pull(plan, have=lambda: first[0] if shelf.models else None) == "m"
    thread.join(20)
    assert told == [Notice(f"waiting: another process fetches it already (process {os.getpid()})")]
    assert sum(seen.sent for seen in server.of("storage")) == len(data)
    assert not lock_of(incoming_folder(tmp_path / "models", plan)).exists()


def test_a_lock_that_is_taken_away_meanwhile_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, told, opened = tmp_path / "a.lock", list[str](), list[int]()

    def open_late(path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        opened.append(descriptor)
        if len(opened) == 1:
            # Whoever had it is done just now.
            path.unlink()
        return descriptor

    monkeypatch.setattr("hearth.weights.fetch.claim._open", open_late)
    with claimed(lock, wait=False, tell=told.append):
        assert is_claimed(lock)
    assert (len(opened), told) == (2, [])
    assert not lock.exists()


def test_what_another_published_just_before_is_not_fetched_again(
    tmp_path: Path, server: HubServer, shelf: Shelf
) -> None:
    server.add(REPO, {"a.gguf": noise(1000)})
    assert puller(tmp_path, shelf, Access(server.endpoint)).pull(plan_of(server), have=lambda: "theirs") == "theirs"
    assert not server.of("storage")
    assert list((tmp_path / "models" / ".incoming").iterdir()) == []


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


@pytest.mark.parametrize("size", [99_999, 100_001])
def test_a_size_that_does_not_agree_is_refused(tmp_path: Path, server: HubServer, shelf: Shelf, size: int) -> None:
    url = server.add_loose("a.gguf", noise(100_000))
    plan = Hub(Access(server.endpoint)).plan_url(url, "0" * 64)
    server.add_loose("a.gguf", noise(size))
    with pytest.raises(ModelUnavailable, match=f"has {size} bytes as a.gguf; it must have 100000"):
        puller(tmp_path, shelf, Access(server.endpoint)).pull(plan)


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
