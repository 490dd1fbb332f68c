"""The worker as a process of its own: what it serves, how it ends, what it refuses."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

import gguf_models
from hearth.runtime.launch import Launch
from hearth.runtime.llama.worker import EXIT_BAD_OPTIONS, EXIT_LOAD_FAILED, EXIT_ORPHAN, server_parameters
from hearth.runtime.llama.worker_options import WorkerOptions
from hearth.runtime.process import Process, is_alive
from shaped_models import write_small

pytestmark = pytest.mark.slow

KEY = "a-key-of-at-least-16"
COMMAND = [sys.executable, "-m", "hearth.runtime.llama.worker"]


def options(home: Path, **changes: Any) -> dict[str, Any]:
    """Changes of the launch and of the rest are told apart by their names."""
    names = {field.name for field in msgspec.structs.fields(Launch)}
    launch = {"context": 512, "slots": 2, **{name: value for name, value in changes.items() if name in names}}
    known = {"name": "tiny", "api_key": KEY, "parent": os.getpid(), "launch": launch}
    rest = {name: value for name, value in changes.items() if name not in names}
    return {"model": str(home / "m.gguf"), "socket": str(home / "e.sock"), **known, **rest}


def worker(home: Path) -> Process:
    return Process(COMMAND, environment={**os.environ, "GGML_NO_BACKTRACE": "1"}, log_file=home / "worker.log")


async def ended(home: Path, line: str) -> tuple[int, str]:
    """Exit code and output of a worker that was told this line."""
    process = worker(home)
    await process.start(line)
    try:
        return await process.wait(), "\n".join(process.tail)
    finally:
        await process.stop(0)


@asynccontextmanager
async def serving(home: Path, **changes: Any) -> AsyncIterator[tuple[Process, aiohttp.ClientSession]]:
    process = worker(home)
    await process.start(json.dumps(options(home, **changes)))
    connector = aiohttp.UnixConnector(str(home / "e.sock"))
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        async with aiohttp.ClientSession("http://engine", connector=connector, headers=headers) as session:
            while not await up(session):
                assert not process.ended, "\n".join(process.tail)
                await asyncio.sleep(0.02)
            yield process, session
    finally:
        await process.stop(5)


async def up(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.parametrize("write", [gguf_models.write_lfm2, gguf_models.write_llama])
async def test_it_serves_a_hybrid_and_a_dense_model(home: Path, write: Any) -> None:
    write(home / "m.gguf")
    async with serving(home) as (_, session):
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "temperature": 0}
        async with session.post("/v1/chat/completions", json=body) as response:
            first = await response.json()
        async with session.post("/v1/chat/completions", json=body) as response:
            second = await response.json()
        async with session.get("/props") as response:
            properties = await response.json()
        assert (await session.get("/slots")).status == 200
        assert "llamacpp:requests_processing" in await (await session.get("/metrics")).text()
    assert first["usage"]["completion_tokens"] <= 5
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    assert properties["total_slots"] == 2
    assert properties["default_generation_settings"]["n_ctx"] == 512
    assert first["model"] == "tiny"


async def test_only_the_owner_with_the_key_gets_in_and_there_is_no_web_page(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    async with serving(home) as (process, session):
        assert (home / "e.sock").stat().st_mode & 0o077 == 0
        for path in ("/props", "/slots", "/v1/models", "/metrics"):
            assert (await session.get(path, headers={"Authorization": "Bearer wrong"})).status == 401
        assert (await session.get("/")).status == 404
        assert (await session.get("/tools")).status in (403, 404, 501)
        assert KEY not in Path(f"/proc/{process.pid}/cmdline").read_text()


async def test_each_slot_has_its_whole_context_at_the_same_time(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    async with serving(home) as (_, session):
        bodies = [
            {"messages": [{"role": "user", "content": word * 110}], "max_tokens": 40, "ignore_eos": True}
            for word in ("q z ", "x y ")
        ]
        answers = await asyncio.gather(*(session.post("/v1/chat/completions", json=body) for body in bodies))
        usages = [(await answer.json())["usage"] for answer in answers]
    assert all(usage["prompt_tokens"] > 440 and usage["completion_tokens"] == 40 for usage in usages)


async def test_a_prompt_that_is_too_long_is_refused_not_cut(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    async with serving(home) as (_, session):
        body = {"messages": [{"role": "user", "content": "q z " * 300}]}
        async with session.post("/v1/chat/completions", json=body) as response:
            assert response.status == 400
            error = (await response.json())["error"]
    assert error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 512


async def test_a_client_that_leaves_frees_its_slot(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf", context=65536, blocks=6, width=256)
    async with serving(home, context=65536, slots=1) as (_, session):
        body = {"messages": [{"role": "user", "content": "go on"}], "stream": True, "ignore_eos": True}
        response = await session.post("/v1/chat/completions", json=body)
        await response.content.readline()
        assert await busy(session)
        response.close()
        while True:
            if not await busy(session):
                break
            await asyncio.sleep(0.01)
        async with session.get("/metrics") as metrics:
            assert "llamacpp:requests_processing 0" in await metrics.text()


async def busy(session: aiohttp.ClientSession) -> bool:
    async with session.get("/slots") as response:
        return any(slot["is_processing"] for slot in await response.json())


async def test_slots_are_saved_in_their_folder(home: Path) -> None:
    gguf_models.write_lfm2(home / "m.gguf")
    (home / "slots").mkdir()
    async with serving(home, slot_folder=str(home / "slots"), slots=1) as (_, session):
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
        await session.post("/v1/chat/completions", json=body)
        async with session.post("/slots/0?action=save", json={"filename": "s.bin"}) as response:
            assert response.status == 200
    assert (home / "slots" / "s.bin").stat().st_size > 0


async def test_sigterm_ends_it_cleanly_even_while_it_answers(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf", context=65536, blocks=6, width=256)
    async with serving(home, context=65536) as (process, session):
        body = {"messages": [{"role": "user", "content": "go on"}], "stream": True, "ignore_eos": True}
        response = await session.post("/v1/chat/completions", json=body)
        await response.content.readline()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0
    assert not (home / "e.sock").exists()


PARENT = """
import asyncio, os, sys, time
from pathlib import Path
from hearth.runtime.process import Process

async def main():
    process = Process(eval(sys.argv[1]), environment=os.environ, log_file=Path(sys.argv[2]))
    await process.start(sys.argv[3].replace("PARENT", str(os.getpid())))
    print(process.pid, flush=True)
    while True:
        if any("listening on" in line for line in process.tail):
            print("up", flush=True)
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_dies_with_its_parent(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    line = json.dumps(options(home, parent="PARENT")).replace('"PARENT"', "PARENT")
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, repr(COMMAND), str(home / "log"), line, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert await parent.stdout.readline() == b"up\n"
    assert runs(child)
    parent.kill()
    await parent.wait()
    while True:
        if not runs(child):
            break
        await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    """Alive and no zombie."""
    try:
        return is_alive(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_the_end_of_its_input_ends_it(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    await process.communicate(json.dumps(options(home)).encode() + b"\n")
    assert process.returncode == 0
    assert not (home / "e.sock").exists()


async def test_an_orphan_does_not_load(home: Path) -> None:
    code, _ = await ended(home, json.dumps(options(home, parent=1)))
    assert code == EXIT_ORPHAN


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 0},
        {"batch": 1},
        {"micro_batch": 0},
        {"context": 1},
        {"context": -5},
        {"context": 1 << 40},
        {"slots": 0},
        {"slots": 64, "context": 1 << 20},
        {"slots": 100_000},
        {"threads": -1},
        {"threads": 1024},
        {"cache_ram_mib": -1},
        {"api_key": ""},
        {"model": None},
        {"more": 1},
    ],
)
def test_options_that_would_abort_the_engine_are_refused(home: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(options(home, **changes)), type=WorkerOptions)


async def told(home: Path, **changes: Any) -> str:
    """What the engine says while it loads with these settings."""
    async with serving(home, **changes) as (process, _):
        return "\n".join(process.tail)


async def test_every_setting_of_a_launch_arrives_in_the_engine(home: Path) -> None:
    write_small(home / "m.gguf", "moe")
    said = await told(
        home,
        slots=3,
        spare=True,
        kv_type="q8_0",
        threads=2,
        batch_threads=1,
        flash="on",
        batch=128,
        micro_batch=64,
        host_expert_layers=2,
        checkpoints=5,
        checkpoint_step=100,
        speculation="ngram-mod",
        cache_ram_mib=7,
    )
    for line in (
        "n_threads = 2 (n_threads_batch = 1)",
        "n_seq_max             = 4",
        "n_ctx                 = 1792",
        "n_batch               = 128",
        "n_ubatch              = 64",
        "flash_attn            = enabled",
        "K (q8_0)",
        "V (q8_0)",
        "n_slots = 4, n_ctx_slot = 512",
        "tensor overrides to CPU are used",
        "context checkpoints enabled, max = 5, min spacing = 100",
        "adding speculative implementation 'ngram-mod'",
        "size limit: 7 MiB",
    ):
        assert line in said
    assert "fitting params" not in said


async def test_what_a_launch_leaves_out_is_not_done(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    said = await told(home, flash="off", checkpoints=0, threads=1)
    assert "flash_attn            = disabled" in said
    assert "no implementations specified for speculative decoding" in said
    for line in ("fitting params", "context checkpoints enabled", "tensor overrides", "K (q8_0)"):
        assert line not in said


def test_placement_is_handed_over_as_it_was_decided(home: Path) -> None:
    """Where it shows only on a card: what llama-server's own flags would set."""
    launch = {"gpu_layers": 7, "tensor_split": [3.0, 1.0], "host_expert_layers": 2}
    parameters = server_parameters(msgspec.convert(options(home, **launch), WorkerOptions))
    assert parameters.n_gpu_layers == 7
    assert list(parameters.tensor_split[:3]) == [3.0, 1.0, 0.0]
    rules = [rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU" for layer in range(2)]
    assert parameters.tensor_buft_overrides == ",".join(rules)
    assert not parameters.fit_params
    everything = server_parameters(msgspec.convert(options(home), WorkerOptions))
    assert (everything.n_gpu_layers, everything.tensor_buft_overrides) == (-1, "")


async def test_pieces_of_a_prompt_are_moved_when_that_is_asked_for(home: Path) -> None:
    gguf_models.write_llama(home / "m.gguf")
    pieces = [[5 + (i + 1) * step % 200 for i in range(100)] for step in (1, 3, 7)]
    reused = {}
    for cache_reuse in (0, 64):
        async with serving(home, cache_reuse=cache_reuse, threads=1) as (_, session):
            for prompt in ([*pieces[0], *pieces[1], *pieces[2]], [*pieces[0], *pieces[2]]):
                body = {"prompt": prompt, "n_predict": 1, "id_slot": 0}
                async with session.post("/completion", json=body) as response:
                    reused[cache_reuse] = (await response.json())["timings"]["cache_n"]
    assert reused == {0: 100, 64: 199}


@pytest.mark.parametrize("speculation", ["ngram-mod", "draft-mtp"])
async def test_speculation_drafts_and_changes_no_answer(home: Path, speculation: str) -> None:
    write_small(home / "m.gguf", "delta-net-moe")
    body = {"prompt": [5 + i % 50 for i in range(200)], "n_predict": 80, "ignore_eos": True, "temperature": 0}
    answers = {}
    drafted = 0
    for way in ("none", speculation):
        async with (
            serving(home, speculation=way, threads=1) as (_, session),
            session.post("/completion", json=body) as response,
        ):
            answer = await response.json()
            answers[way] = answer["content"]
            drafted = answer["timings"].get("draft_n", 0)
    assert answers["none"] == answers[speculation]
    assert drafted > 0


@pytest.mark.parametrize("line", ["", "{", "[]", '{"batch": 0}'])
async def test_bad_options_are_an_exit_code_not_a_crash(home: Path, line: str) -> None:
    code, output = await ended(home, line)
    assert code == EXIT_BAD_OPTIONS
    assert "bad options" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 64, "micro_batch": 64, "slots": 1, "context": 256},
        {"batch": 64, "slots": 64, "context": 256},
        {"threads": 3},
    ],
)
async def test_the_smallest_and_largest_options_serve(home: Path, changes: dict[str, Any]) -> None:
    gguf_models.write_llama(home / "m.gguf")
    async with serving(home, **changes) as (_, session):
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
        assert (await session.post("/v1/chat/completions", json=body)).status == 200


async def test_a_file_that_does_not_load_is_an_exit_code(home: Path) -> None:
    (home / "m.gguf").write_bytes(b"junk" * 100)
    code, output = await ended(home, json.dumps(options(home)))
    assert code == EXIT_LOAD_FAILED
    assert "invalid magic" in output
    assert not (home / "e.sock").exists()


def test_the_engine_has_no_tools_no_pages_and_no_network_of_its_own(home: Path) -> None:
    parameters = server_parameters(msgspec.convert(options(home), WorkerOptions))
    assert (parameters.server_tools, parameters.mcp_servers_config, parameters.ui) == ([], "", False)
    assert (parameters.hostnames, parameters.api_keys) == ([str(home / "e.sock")], [KEY])
    assert parameters.offline
