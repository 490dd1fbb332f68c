"""The daemon as a person meets it: real processes, a real engine with a tiny random model."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from running_daemon import CHAT, QUESTION, hearth, start_in_background, status, until_alive

from hearth.errors import DaemonUnavailable, StateError
from hearth.ops.daemon import is_alive, stop_daemon
from hearth.ops.local import ask
from hearth.ops.record import read_record
from hearth.paths import Paths, resolve_paths
from suspended import suspend

ENDLESS = {**QUESTION, "stream": True, "max_tokens": 100_000, "ignore_eos": True}
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(paths: Paths) -> Iterator[Serve]:
    """Start ``hearth serve``; everything that was started is ended after."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hearth", "serve", *arguments]
        environment = {**os.environ, **more}
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


async def test_serve_answers_on_both_doors_and_leaves_nothing(serve: Serve, paths: Paths, free_port: int) -> None:
    process = serve("--port", str(free_port))
    await until_alive(paths)
    key = paths.key_file.read_text().strip()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{free_port}{CHAT}"
        assert (await session.post(url, json=QUESTION)).status == 401
        answer = await session.post(url, json={**QUESTION, "max_tokens": 4}, headers={"x-api-key": key})
        assert answer.status == 200
        assert (await answer.json())["usage"]["completion_tokens"] >= 1
    shown = hearth("status").stdout
    assert f"http://127.0.0.1:{free_port}" in shown
    assert "tiny: ready" in shown
    assert json.loads(hearth("status", "--json").stdout)["engines"][0]["context"] == 8192
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert sorted(path.name for path in paths.runtime.iterdir()) == []
    assert hearth("status").returncode == 4


async def test_the_second_daemon_says_who_runs(serve: Serve, paths: Paths) -> None:
    first = serve()
    await until_alive(paths)
    second = hearth("serve")
    assert second.returncode == 1
    assert f"pid {first.pid}, since 20" in second.stderr
    assert second.stderr.count("\n") == 1
    assert await is_alive(paths.socket)


async def test_serve_names_who_has_the_port(serve: Serve, paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = hearth("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"pid {os.getpid()} (" in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(paths.runtime.iterdir()) == []


async def test_a_background_daemon_goes_on_without_the_port(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        monkeypatch.setenv("HEARTH_PORT", str(port))
        await start_in_background(paths)
        report = await status(paths)
    assert report["address"] == ""
    assert f"pid {os.getpid()} (" in report["no_address_because"]
    assert report["background"] is True
    assert f"has port {port}" in hearth("status").stdout


async def test_what_a_killed_daemon_left_is_cleaned(serve: Serve, paths: Paths) -> None:
    process = serve()
    await until_alive(paths)
    await ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 1}, timeout_s=60)
    process.kill()
    process.wait()
    assert paths.socket.exists()
    assert paths.daemon_file.exists()
    assert not await is_alive(paths.socket)
    assert hearth("status").returncode == 4
    await start_in_background(paths)
    record = read_record(paths)
    assert record is not None
    assert record.pid != process.pid
    assert (await ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 1}, timeout_s=60)).status == 200
    assert await stop_daemon(paths, print)
    assert [path.name for path in paths.runtime.iterdir()] == ["start.lock"]


async def test_a_daemon_without_its_socket_is_said_and_can_be_stopped(serve: Serve, paths: Paths) -> None:
    process = serve()
    await until_alive(paths)
    paths.socket.unlink()
    with pytest.raises(DaemonUnavailable, match=rf"pid {process.pid}\) runs, but .*hearth\.sock is gone"):
        await start_in_background(paths)
    shown = hearth("status")
    assert (shown.returncode, shown.stderr.count("\n")) == (4, 1)
    assert "is gone" in shown.stderr
    assert await stop_daemon(paths, print)
    await start_in_background(paths)


async def test_a_cleared_runtime_folder_lets_the_next_daemon_in_and_the_old_one_out(serve: Serve, paths: Paths) -> None:
    old = serve()
    await until_alive(paths)
    shutil.rmtree(paths.runtime)
    await start_in_background(paths)
    old.send_signal(signal.SIGTERM)
    assert old.wait(timeout=20) == 0
    record = read_record(paths)
    assert record is not None
    assert record.pid != old.pid
    assert await is_alive(paths.socket)


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_one_line(paths: Paths, free_port: int, host: str) -> None:
    paths.config_file.write_text(f'[gateway]\nhost = "{host}"\n')
    done = hearth("serve", "--port", str(free_port))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot listen on" in done.stderr
    assert "gateway.host" in done.stderr


async def test_faces_at_once_start_one_daemon_with_visible_progress(paths: Paths) -> None:
    told: list[str] = []
    await asyncio.gather(*(start_in_background(paths, told) for _ in range(4)))
    assert "starting the daemon" in told
    log = (paths.logs / "daemon.log").read_text()
    assert log.count("API key in") == 1
    assert "runs already" not in log
    again: list[str] = []
    await start_in_background(paths, again)
    assert again == []


async def test_a_daemon_that_cannot_start_gives_its_last_line(paths: Paths) -> None:
    paths.key_file.write_text("short")
    with pytest.raises(DaemonUnavailable) as caught:
        await start_in_background(paths)
    assert f"{paths.key_file} holds no key" in str(caught.value)
    assert "hearth logs" in caught.value.fix


async def test_a_log_that_cannot_be_written_is_one_line(paths: Paths) -> None:
    (paths.logs / "daemon.log").mkdir()
    with pytest.raises(StateError, match=r"daemon\.log"):
        await start_in_background(paths)
    done = hearth("serve")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("place", ["/proc/hearth-home", "file"])
async def test_a_home_that_cannot_be_written_is_one_line(home: Path, place: str) -> None:
    (home / "file").write_text("a file where a folder is wanted")
    where = str(home / place)
    with pytest.raises(StateError):
        await start_in_background(resolve_paths({"HEARTH_HOME": where}))
    done = hearth("serve", HEARTH_HOME=where)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert where in done.stderr
    assert "HEARTH_HOME" in done.stderr


async def test_on_a_full_disk_the_logs_stop_and_nothing_else(serve: Serve, paths: Paths) -> None:
    for log in (paths.logs / "daemon.log", paths.engine_log("tiny")):
        log.symlink_to("/dev/full")
    process = serve()
    await until_alive(paths)
    assert (await ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 1}, timeout_s=60)).status == 200
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert "chat tiny: HTTP 200" in said
    assert "Traceback" not in said
    assert process.returncode == 0


async def test_the_socket_is_the_owners_alone(serve: Serve, paths: Paths) -> None:
    serve()
    await until_alive(paths)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (paths.socket, paths.daemon_file, paths.key_file)}
    assert set(modes.values()) == {0o600}
    assert paths.runtime.stat().st_mode & 0o777 == 0o700
    assert (paths.logs / "daemon.log").stat().st_mode & 0o077 == 0


async def test_a_background_daemon_leaves_when_idle(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_IDLE_EXIT", "0.5")
    await start_in_background(paths)
    async with asyncio.timeout(30):
        while True:
            if not paths.daemon_file.exists():
                break
            await asyncio.sleep(0.05)
    assert not paths.socket.exists()


async def test_killing_the_engine_mid_stream_is_a_typed_error_and_the_daemon_lives(paths: Paths) -> None:
    await start_in_background(paths)
    connector = aiohttp.UnixConnector(str(paths.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post(f"http://hearth{CHAT}", json=ENDLESS)
        await answer.content.readuntil(b"\n\n")
        (engine,) = (await status(paths))["engines"]
        os.kill(engine["pid"], signal.SIGKILL)
        body = await answer.read()
    last = json.loads(body.strip().splitlines()[-1].removeprefix(b"data: "))["error"]
    assert (last["source"], last["code"]) == ("engine", "engine_lost")
    assert "tiny" in last["message"]
    assert "SIGKILL" in last["message"]
    again = await ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 2}, timeout_s=60)
    assert again.status == 200
    (after,) = (await status(paths))["engines"]
    assert after["pid"] != engine["pid"]


async def test_a_client_that_leaves_frees_the_real_slot(paths: Paths) -> None:
    await start_in_background(paths)
    connector = aiohttp.UnixConnector(str(paths.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post(f"http://hearth{CHAT}", json=ENDLESS)
        await answer.content.readuntil(b"\n\n")
        assert (await status(paths))["requests"] == 1
        answer.close()
    async with asyncio.timeout(10):
        while True:
            if (await status(paths))["requests"] == 0:
                break
            await asyncio.sleep(0.02)
    # Both slots are asked for: they would not answer while the abandoned stream held one for 100,000 tokens.
    asks = [ask(paths.socket, "POST", CHAT, {**QUESTION, "max_tokens": 200, "id_slot": slot}) for slot in (0, 1)]
    assert [answer.status for answer in await asyncio.gather(*asks)] == [200, 200]


async def test_stop_ends_a_running_stream_with_a_word(serve: Serve, paths: Paths) -> None:
    process = serve()
    await until_alive(paths)
    connector = aiohttp.UnixConnector(str(paths.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post(f"http://hearth{CHAT}", json={**ENDLESS, "max_tokens": 10_000_000})
        await answer.content.readuntil(b"\n\n")
        stopping = asyncio.create_task(stop_daemon(paths, print))
        seen = b""
        with suppress(aiohttp.ClientPayloadError):
            while part := await answer.content.readany():
                seen = (seen + part)[-2000:]
    assert await stopping
    assert b'"daemon_stops"' in seen or b'"finish_reason":"length"' in seen
    assert process.wait(timeout=20) == 0


HUNG = """
import os, signal, time
from hearth.ops.record import DaemonRecord, claim_home
from hearth.paths import resolve_paths
signal.signal(signal.SIGTERM, signal.SIG_IGN)
claim = claim_home(resolve_paths(os.environ))
claim.write(DaemonRecord(os.getpid(), 0.0, "0", False))
print("here", flush=True)
time.sleep(600)
"""


def test_a_hung_daemon_is_killed_by_stop(paths: Paths) -> None:
    told: list[str] = []
    with subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE, text=True) as hung:
        assert hung.stdout is not None
        assert hung.stdout.readline() == "here\n"
        assert asyncio.run(stop_daemon(paths, told.append, limit_s=0.3))
        assert hung.wait(timeout=10) == -signal.SIGKILL
    assert ["SIGTERM" in told[0], "SIGKILL" in told[1], len(told)] == [True, True, 2]


async def test_a_suspended_daemon_is_said_and_ends_in_order(serve: Serve, paths: Paths) -> None:
    process = serve()
    await until_alive(paths)
    suspend(process.pid)
    shown = hearth("status")
    assert (shown.returncode, shown.stderr.count("\n")) == (4, 1)
    assert f"pid {process.pid}) runs but does not answer" in shown.stderr
    assert await stop_daemon(paths, print)
    assert process.wait(timeout=10) == 0
    assert list(paths.runtime.iterdir()) == []
