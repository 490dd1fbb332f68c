"""Whatever the hub, the network, the disk or a kill does: the right file, or a clear error; never a wrong model."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hearth.errors import HearthError
from hearth.weights.fetch.hub import Hub
from hearth.weights.fetch.partial import Ranges, done_of
from hearth.weights.fetch.plan import Plan
from hearth.weights.fetch.pull import Puller, incoming_folder
from hearth.weights.fetch.transfer import Tuning
from hearth.weights.fetch.wire import Access
from hearth.weights.store import Store
from hub_faults import Faults
from hub_server import HubServer

REPO = "local/model"
RATES = ("cut", "error", "ignore_range", "wrong", "trickle", "expired", "new_etag", "hub_error")
CHILD = Path(__file__).resolve().parent.parent / "pull_child.py"


def files_for(rng: random.Random) -> dict[str, bytes]:
    count = rng.choice((1, 1, 1, 3))
    names = ["a-Q4_K_M.gguf"] if count == 1 else [f"a-Q4_K_M-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    return {name: rng.randbytes(rng.randrange(1, 400_000 // count)) for name in names}


def faults_for(rng: random.Random) -> Faults:
    chosen = rng.sample(RATES, rng.randrange(1, 4))
    rates = {name: rng.uniform(0.05, 1.0) ** 2 for name in chosen}
    return Faults(rng.randrange(1 << 30), limit=rng.choice((3, 20, 1_000_000)), moves=rng.random() < 0.3, **rates)


def tuning_for(rng: random.Random) -> Tuning:
    room = rng.randrange(300_000) if rng.random() < 0.15 else 1 << 40

    def write(descriptor: int, view: memoryview, at: int) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(28, "No space left on device")
        wrote = os.pwrite(descriptor, view[:room], at)
        room -= wrote
        return wrote

    return Tuning(
        connections=rng.randrange(1, 5),
        piece_bytes=rng.choice((20_000, 70_000, 1 << 20)),
        sync_bytes=50_000,
        tick_s=0.005,
        tries=8,
        backoff_s=0.0,
        write=write,
    )


def published(store: Store) -> dict[str, bytes]:
    """Every file of the one model; checked against its own manifest. Nothing when there is no model."""
    manifests = store.manifests()
    assert len(manifests) <= 1
    found = {}
    for manifest in manifests:
        for file in manifest.files:
            data = (store.folder_of(manifest) / file.name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
            found[file.name] = data
    return found


def fetch(models: Path, access: Access, tuning: Tuning) -> None:
    plan = Hub(access, lambda _: None).plan("m", REPO)
    Puller(models, Store(models).publish, access, lambda _: None, tuning=tuning).pull(plan)


def error_of(models: Path, access: Access, tuning: Tuning) -> HearthError | None:
    try:
        fetch(models, access, tuning)
    except HearthError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200, 20))
def test_seeded_faults_end_with_the_right_file_or_a_clear_error(tmp_path: Path, server: HubServer, start: int) -> None:
    whole = 0
    for seed in range(start, start + 20):
        rng = random.Random(seed)
        models, files = tmp_path / str(seed), files_for(rng)
        server.repos.clear()
        server.add(REPO, files)
        server.gated = {REPO: {"hf_good"}} if rng.random() < 0.1 else {}
        server.tokens = {"hf_good"}
        server.faults = faults_for(rng)
        error = error_of(models, Access(server.endpoint), tuning_for(rng))
        if error is None:
            assert published(Store(models)) == files, f"seed {seed}"
            whole += 1
            continue
        assert error.fix, f"seed {seed}"
        assert "\n" not in str(error), f"seed {seed}"
        assert published(Store(models)) == {}, f"seed {seed}"
        # The next pull, when the trouble is over, mends it, whatever the first left behind.
        server.faults = Faults()
        commit = server.commit_of(REPO, "main")
        assert commit
        fetch(models, Access(server.endpoint, "hf_good"), Tuning(backoff_s=0.0))
        now = {path: content.data for path, content in server.repos[REPO][commit].items()}
        assert published(Store(models)) == now, f"seed {seed}"
    assert 0 < whole < 20


@contextlib.contextmanager
def children(models: Path, endpoint: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(CHILD), str(models), endpoint]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(30)


def one_pull(process: "subprocess.Popen[str]", plan: Plan, server: HubServer, kill_after: int) -> int:
    """Its exit code; minus nine when it was killed, after this many bytes had gone out to it."""
    assert process.stdin
    assert process.stdout
    pids: list[int] = []
    # The pid is told before the first request can come: the child waits for nothing else.
    server.when_sent = (server.sent_bytes + kill_after, lambda: kill(pids))
    process.stdin.write(msgspec.json.encode(plan).decode() + "\n")
    process.stdin.flush()
    pids.append(int(process.stdout.readline()))
    code = int(process.stdout.readline())
    server.when_sent = None
    return code


def kill(pids: list[int]) -> None:
    with contextlib.suppress(ProcessLookupError):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_that_was_durable(tmp_path: Path, server: HubServer) -> None:
    rng = random.Random(7)
    models, killed, resumed = tmp_path / "models", 0, 0
    earlier: dict[str, bytes] = {}
    server.pace_s = 0.0005
    with children(models, server.endpoint) as process:
        while killed < 100:
            data = rng.randbytes(rng.randrange(300_000, 900_000))
            server.add(REPO, {"a.gguf": data})
            plan = Hub(Access(server.endpoint)).plan("m", REPO)
            part = incoming_folder(models, plan) / "a.gguf.part"
            code = -signal.SIGKILL
            while code == -signal.SIGKILL:
                claim = done_of(part, plan.files[0])
                there = Ranges(claim.done if claim else ())
                check_claims(part, there, data)
                resumed += there.total > 0
                before = len(server.seen)
                code = one_pull(process, plan, server, rng.randrange(1, 500_000))
                killed += code == -signal.SIGKILL
                asked = [seen.range for seen in server.seen[before:] if seen.range]
                again = [piece for piece in asked if there.gaps(*piece) != [piece]]
                assert not again, f"{again} were there: {there.all()}"
                assert published(Store(models)) in (earlier, {"a.gguf": data})
            assert code == 0
            earlier = {"a.gguf": data}
            assert published(Store(models)) == earlier
    assert killed >= 100
    assert resumed > 30


def check_claims(part: Path, there: Ranges, data: bytes) -> None:
    if there.total:
        with part.open("rb") as file:
            for start, end in there.all():
                file.seek(start)
                assert file.read(end - start) == data[start:end]
