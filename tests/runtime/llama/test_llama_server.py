"""A llama-server of the owner's as an engine: what it can do is asked of it, whatever its age.

``HEARTH_TEST_LLAMA_SERVER=PATH`` adds a real binary to those that stand for three of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import gguf_models
from hearth.errors import CorruptModel, EngineFailed
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, EngineState, LoadProgress
from hearth.runtime.launch import Launch
from hearth.runtime.llama.flags import LlamaBuild, read_build, write_command
from hearth.runtime.llama.server import LlamaServerEngine, find_binary, probe_binary
from hearth.runtime.process import Process, is_alive
from hearth.weights.card import card_of_file
from llama_server_program import VERSIONS, help_of, write_program

REAL = os.environ.get("HEARTH_TEST_LLAMA_SERVER", "")
GENERATIONS = [*VERSIONS, *([REAL] if REAL else [])]


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


def build_of(generation: str) -> LlamaBuild:
    build = read_build(VERSIONS[generation], help_of(generation))
    assert build is not None
    return build


def binary_of(generation: str, home: Path) -> str:
    return generation if "/" in generation else str(write_program(home / "llama-server", generation))


def engine_of(generation: str, paths: Paths, home: Path, launch: Launch, **more: Any) -> LlamaServerEngine:
    model = paths.models / "m.gguf"
    if not model.exists():
        gguf_models.write_llama(model, width=128)
    return LlamaServerEngine(binary_of(generation, home), card_of_file("m", model), launch, paths, **more)


def quiet(_progress: LoadProgress) -> None:
    return None


async def post(engine: Engine, path: str, **body: Any) -> Any:
    endpoint = engine.endpoint
    connector = aiohttp.UnixConnector(str(endpoint.socket)) if endpoint.socket else None
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(endpoint.url, connector=connector, headers=headers) as session,
        session.post(path, json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.mark.parametrize(
    ("generation", "flag", "known"),
    [
        ("4589", "--flash-attn", True),
        ("4589", "-fa", True),
        ("4589", "--kv-unified", False),
        ("4589", "--draft-max", True),
        ("4589", "--cache-ram", False),
        ("10434", "--kv-unified", True),
        ("10434", "--kv-unified-per-slot", False),
        ("10434", "--no-ui", True),
        ("10434", "--no-cache-idle-slots", True),
        ("11434", "--kv-unified-per-slot", True),
        ("11434", "--swa-checkpoints", True),
        ("11434", "-1", False),
        ("11434", "--draft-max", False),
    ],
)
def test_flags_are_read_from_the_help(generation: str, flag: str, known: bool) -> None:
    assert build_of(generation).has(flag) == known


@pytest.mark.parametrize(("generation", "unix"), [("4589", False), ("10434", True), ("11434", True)])
def test_what_flags_mean_is_read_from_the_help(generation: str, unix: bool) -> None:
    build = build_of(generation)
    assert build.takes_unix_sockets == unix
    assert build.takes_keys
    assert ("ngram-mod" in build.flags.get("--spec-type", "")) == (generation != "4589")


@pytest.mark.parametrize(
    ("version", "text"),
    [("", ""), ("version: 1", "usage: foo"), ("foo 1.2", help_of("11434")), ("version: 3 (abc)", "--ctx-size N")],
)
def test_what_is_no_llama_server_is_none(version: str, text: str) -> None:
    assert read_build(version, text) is None


FULL = Launch(
    context=4096, slots=2, kv_type="q8_0", threads=3, batch_threads=5, batch=1024, micro_batch=256, flash="on",
    host_expert_layers=1, tensor_split=(3.0, 1.0), checkpoints=8, checkpoint_step=512, cache_reuse=256,
    speculation="ngram-mod", cache_ram_mib=100, spare=True,
)  # fmt: skip


def command_of(generation: str, launch: Launch) -> tuple[str, Any]:
    line = write_command(
        build_of(generation), launch, model="/m.gguf", name="m", host="/e.sock", port=0, slot_folder="/kv"
    )
    return " ".join(line.arguments), line


def test_the_newest_takes_all_of_a_launch() -> None:
    text, line = command_of("11434", FULL)
    for part in (
        "--model /m.gguf --host /e.sock --ctx-size 8448 --parallel 3 --kv-unified --kv-unified-per-slot 4096",
        "--batch-size 1024 --ubatch-size 256 --threads 3 --threads-batch 5 --flash-attn on --spec-type ngram-mod",
        "--fit off --n-gpu-layers 9999 --tensor-split 3,1",
        r"--override-tensor blk\.0\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",
        "--cache-type-k q8_0 --cache-type-v q8_0 --ctx-checkpoints 8 --checkpoint-min-step 512 --cache-reuse 256",
        "--cache-ram 100 --no-context-shift --slot-save-path /kv/ --no-cache-idle-slots",
        "--alias m --jinja --offline --no-ui --slots --metrics --verbosity 4",
    ):
        assert part in text
    assert (line.missing, line.launch) == ((), FULL)


def test_without_shares_of_a_pool_each_slot_has_its_own() -> None:
    text, line = command_of("10434", FULL)
    assert "--ctx-size 8192 --parallel 2 --no-kv-unified" in text
    assert "--kv-unified-per-slot" not in text
    assert not line.launch.spare
    assert line.missing == ()


def test_what_an_old_build_lacks_is_left_out_and_told() -> None:
    text, line = command_of("4589", FULL)
    assert " --flash-attn --" in text
    assert "--no-webui" in text
    assert "--no-context-shift" in text
    # There it would log prompts.
    assert "--verbosity" not in text
    for flag in ("--fit", "--offline", "--kv-unified", "--spec-type", "--cache-ram", "--ctx-checkpoints"):
        assert flag not in text
    assert line.missing == ("speculation by ngram-mod", "experts in the RAM")
    assert command_of("4589", Launch(context=512, threads=1))[1].missing == ()


@pytest.mark.slow
@pytest.mark.parametrize("generation", GENERATIONS)
async def test_it_is_an_engine_as_any_other(
    generation: str, paths: Paths, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "300")
    launch = Launch(context=1024, slots=2, spare=True, kv_type="q8_0", flash="on", speculation="ngram-mod", threads=1)
    engine = engine_of(generation, paths, home, launch)
    told: list[LoadProgress] = []
    await engine.start(told.append)
    pid = engine.pid
    assert pid is not None
    try:
        assert (engine.state, engine.slots, engine.context_length) == (EngineState.READY, 2, 1024)
        assert told[-1].phase == "ready"
        assert engine.endpoint.api_key not in Path(f"/proc/{pid}/cmdline").read_text()
        assert (engine.endpoint.socket is None) == (generation == "4589")
        prompt = [5 + i % 200 for i in range(300)]
        plain = {"grammar": "root ::= [a-z]+", "id_slot": 1}
        await post(engine, "/completion", prompt=prompt, n_predict=2, **plain)
        await engine.canary()
        activity = await engine.look()
        assert activity is not None
        assert (activity.working, activity.waiting) == (frozenset(), 0)
        saved = await post(engine, "/slots/1?action=save", filename="s.part")
        assert saved["n_saved"] >= 300
        assert (paths.kv / "s.part").stat().st_size == saved["n_written"]
        again = await post(engine, "/completion", prompt=[*prompt, 9], n_predict=1, **plain)
        assert again["timings"]["cache_n"] >= 299
        assert engine.kv_state.count("q8_0") == 1
        if generation == "11434":
            assert engine.held["CPU"] > 0
    finally:
        await engine.stop()
    assert (engine.state, is_alive(pid), list(paths.runtime.iterdir())) == (EngineState.STOPPED, False, [])


@pytest.mark.slow
async def test_its_own_words_tell_why_it_does_not_load(paths: Paths, home: Path) -> None:
    engine = engine_of("11434", paths, home, Launch(context=512, threads=1))
    path = engine.card.path
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    with pytest.raises(CorruptModel, match=r"blk\.1\.attn_q\.weight"):
        await engine.start(quiet)
    assert (engine.state, engine.pid) == (EngineState.FAILED, None)


@pytest.mark.slow
async def test_its_death_is_a_failure_with_its_cause(paths: Paths, home: Path) -> None:
    engine = engine_of("11434", paths, home, Launch(context=512, threads=1))
    await engine.start(quiet)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    await engine.wait()
    assert engine.cause == "the engine of m died: killed by SIGKILL"


async def test_a_binary_is_asked_once_for_each_change_of_it(paths: Paths, home: Path) -> None:
    binary = write_program(home / "llama-server", "11434")
    first = await probe_binary(binary, paths)
    assert first == await probe_binary(binary, paths) == build_of("11434")
    assert [line.split()[0] for line in (home / "llama-server.runs").read_text().splitlines()] == [
        "--version",
        "--help",
    ]
    write_program(binary, "4589").with_name("libllama.so").write_text("another library")
    assert await probe_binary(binary, paths) == build_of("4589")
    assert not list((paths.cache / "llama-server").glob("*.log"))


async def test_what_would_set_flags_behind_our_back_is_not_handed_on(
    paths: Paths, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_TOOLS", "all")
    monkeypatch.setenv("LLAMA_API_KEY", "the owner's own")
    await probe_binary(write_program(home / "llama-server", "11434"), paths)
    names = (home / "llama-server.runs").read_text().split()
    assert "PATH" in names
    assert not {"LLAMA_ARG_TOOLS", "LLAMA_API_KEY"} & set(names)


def test_a_binary_is_found_by_path_by_name_or_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(EngineFailed, match="no llama-server is on the PATH") as caught:
        find_binary("")
    assert "engine.binary" in caught.value.fix
    binary = write_program(home / "llama-server", "11434")
    assert find_binary("") == find_binary("llama-server") == find_binary(str(binary)) == binary
    with pytest.raises(EngineFailed, match="is not there"):
        find_binary(str(home / "gone"))
    plain = home / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(EngineFailed, match="may not be run") as caught:
        find_binary(str(plain))
    assert f"chmod +x {plain}" in caught.value.fix


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho hello from another program\n", "hello from another program"),
        ("#!/bin/sh\nexit 3\n", "(exit code 3): it says nothing"),
        (
            "#!/bin/sh\necho 'error while loading shared libraries: libcudart.so.12' >&2; exit 127\n",
            "libcudart.so.12",
        ),
    ],
)
async def test_a_program_that_is_no_llama_server_says_so_before_anything_starts(
    script: str, said: str, paths: Paths, home: Path
) -> None:
    binary = write_program(home / "llama-server", "11434")
    engine = engine_of("11434", paths, home, Launch(context=512, threads=1))
    binary.write_text(script)
    with pytest.raises(EngineFailed, match="is no llama-server that runs here") as caught:
        await engine.start(quiet)
    assert said in caught.value.what
    assert (engine.state, engine.pid, list(paths.runtime.iterdir())) == (EngineState.FAILED, None, [])


LEASH = [sys.executable, "-m", "hearth.runtime.llama.leash"]
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([*eval(sys.argv[1]), str(os.getpid()), "sleep", "600"], stdin=subprocess.PIPE)
while b"sleep" not in open(f"/proc/{child.pid}/cmdline", "rb").read().split(b"\\0")[0]:
    time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(600)
"""


async def test_a_program_on_the_leash_dies_with_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, repr(LEASH), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert runs(child)
    parent.kill()
    await parent.wait()
    while True:
        if not runs(child):
            break
        await asyncio.sleep(0.01)


WATCHED = """
import sys
from hearth.runtime.llama.leash import run_watched
sys.exit(run_watched(["sh", "-c", "echo $$; exec sleep 600"]))
"""


async def test_where_a_parents_death_is_not_told_the_end_of_the_input_ends_it() -> None:
    watcher = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WATCHED, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    child = int(await watcher.stdout.readline())
    assert runs(child)
    watcher.stdin.close()
    await watcher.wait()
    assert not runs(child)


async def test_the_leash_hands_on_how_its_program_ends(home: Path) -> None:
    for command, code in ((["sh", "-c", "exit 7"], 7), (["/no/such/program"], 127)):
        process = Process([*LEASH, str(os.getpid()), *command], environment=os.environ, log_file=home / "log")
        await process.start("")
        assert await process.wait() == code
    orphan = Process([*LEASH, "1", "sh", "-c", "exit 7"], environment=os.environ, log_file=home / "log")
    await orphan.start("")
    assert await orphan.wait() == 75


def runs(pid: int) -> bool:
    """Alive and no zombie."""
    try:
        return is_alive(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
