"""Whatever is wrong with the folder of saved states: each request is answered, the log has one warning, and the doctor
says it."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_daemon import CHAT, hearth, status, until_alive

from hearth.ops.local import ask
from hearth.paths import Paths

SYSTEM = {"role": "system", "content": "You are a careful assistant. " * 40}
SETTINGS = "[kv]\nrest_s = 0.05\n{more}[engine]\ncontext = 4096\nthreads = 1\n"
LARGEST_FILE = 100_000
"""Bytes: a saved state of the tiny model has some 250,000, its logs have less."""
Serve = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def serve(paths: Paths) -> Iterator[Serve]:
    """Start ``hearth serve`` with a limit on the size of what it writes, 0 for none; it is ended after."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(largest: int = 0, settings: str = "") -> subprocess.Popen[bytes]:
        paths.config_file.write_text(SETTINGS.format(more=settings))

        def limit() -> None:
            # As on a full disk a write ends in the middle of a file. It needs no rights, and no disk of its own.
            if largest:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        command = [sys.executable, "-m", "hearth", "serve"]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=limit))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


async def talk(paths: Paths) -> list[int]:
    """Three conversations of two turns over two slots, so that each turn needs a state that was saved; the tokens that
    each turn found there."""
    talks = [[SYSTEM, {"role": "user", "content": f"question {number} " * 40}] for number in range(3)]
    found = []
    for _turn in range(2):
        for messages in talks:
            question: dict[str, Any] = {"messages": messages, "max_tokens": 4, "temperature": 0}
            answer = await ask(paths.socket, "POST", CHAT, question, timeout_s=60)
            assert answer.status == 200, answer.data
            found.append(int(answer.data["timings"]["cache_n"]))
            messages += [answer.data["choices"][0]["message"], {"role": "user", "content": "go on"}]
            # Long enough for a save of what rested to be tried as well.
            await asyncio.sleep(0.1)
    return found


def warnings(paths: Paths) -> list[str]:
    lines = (paths.logs / "daemon.log").read_text().splitlines()
    return [line for line in lines if " WARNING " in line or " ERROR " in line]


def doctor() -> list[str]:
    """What it finds wrong with the states, each with the line that says what mends it."""
    lines = hearth("doctor").stdout.splitlines()
    return [
        f"{line} {lines[place + 1]}" for place, line in enumerate(lines) if line.startswith(("FAIL kv", "FAIL sav"))
    ]


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


async def test_a_write_that_ends_half_way(serve: Serve, paths: Paths) -> None:
    process = serve(largest=LARGEST_FILE)
    await until_alive(paths)
    await talk(paths)
    (said,) = doctor()
    assert "the state of tiny cannot be saved: Unable to save slot" in said
    assert f"make room in {paths.kv}" in said
    assert list(paths.kv.iterdir()) == []
    end(process)
    (told,) = warnings(paths)
    assert "cannot be saved" in told


async def test_a_quota_below_one_state(serve: Serve, paths: Paths) -> None:
    process = serve(settings="quota_gib = 0.0001\n")
    await until_alive(paths)
    await talk(paths)
    assert sum(path.stat().st_size for path in paths.kv.iterdir()) <= 0.0001 * 2**30
    said = doctor()
    assert "set kv.quota_gib higher" in said[0]
    assert any("the state of tiny cannot be saved: " in line for line in said)
    end(process)
    (told,) = warnings(paths)
    assert "cannot be saved" in told


def take_its_place(folder: Path) -> None:
    folder.write_text("in the way")


def lead_nowhere(folder: Path) -> None:
    folder.symlink_to(folder.parent / "not mounted" / "kv")


@pytest.mark.parametrize("spoil", [take_its_place, lead_nowhere])
async def test_a_folder_that_cannot_be_made(serve: Serve, paths: Paths, spoil: Callable[[Path], None]) -> None:
    spoil(paths.kv)
    process = serve()
    await until_alive(paths)
    await talk(paths)
    (said,) = doctor()
    assert f"cannot write {paths.kv}" in said
    end(process)
    (told,) = warnings(paths)
    assert "KV state is not saved" in told


async def test_a_folder_that_goes_away_while_it_is_used(serve: Serve, paths: Paths) -> None:
    process = serve()
    await until_alive(paths)
    await talk(paths)
    assert (await status(paths))["engines"][0]["kv"]["saved"] > 0
    paths.kv.rename(paths.kv.with_name("away"))
    paths.kv.write_text("in the way")
    await talk(paths)
    said = doctor()
    assert f"cannot write {paths.kv}" in said[0]
    end(process)
    (told,) = warnings(paths)
    assert "cannot be saved" in told


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)


def fill_with_other_bytes(path: Path) -> None:
    path.write_bytes(b"\x00" * path.stat().st_size)


@pytest.mark.parametrize("damage", [cut, flip, fill_with_other_bytes])
async def test_states_that_are_damaged(serve: Serve, paths: Paths, damage: Callable[[Path], None]) -> None:
    process = serve()
    await until_alive(paths)
    before = await talk(paths)
    end(process)
    entries = list(paths.kv.glob("*.kv"))
    assert len(entries) > 1
    for path in entries:
        damage(path)
    # That a byte of a state is another one is seen only when all are read: before it is used, and not by the doctor.
    if damage is not flip:
        (said,) = doctor()
        assert f"{len(entries)} damaged" in said
        assert "→ run: rm " in said
        # The daemon that it started has removed them.
        assert not any(path.exists() for path in entries)
        assert hearth("stop").returncode == 0
    process = serve()
    await until_alive(paths)
    # Nothing of it is used, and all of it is made anew.
    again = await talk(paths)
    assert again[3:] == before[3:]
    assert doctor() == []
    end(process)
    (told,) = warnings(paths)
    assert "damaged" in told or "its checksum is not that of its bytes" in told
