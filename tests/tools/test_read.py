"""Read."""

import asyncio
import os
from pathlib import Path

import pytest

from hearth.tools import pace
from hearth.tools.read import MOST_LINES, Read, ReadParams
from hearth.tools.tool import ToolResult
from hearth.workspace.files import Workspace


async def read(root: Path, data: bytes, **params: int) -> ToolResult:
    (root / "f").write_bytes(data)
    return await Read(Workspace(root)).run(ReadParams("f", **params))


async def test_it_returns_the_lines_as_they_are(tmp_path: Path) -> None:
    assert await read(tmp_path, b"a\n  b\n") == ToolResult("a\n  b", for_person="2 lines")
    assert (await read(tmp_path, "é\r\nb".encode())).for_model == "é\nb"


async def test_parts_say_that_there_is_more(tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % number for number in range(1, 11))
    assert (await read(tmp_path, data, offset=3, limit=2)).for_model == (
        "3\n4\n[lines 3-4; there are more: read on with offset 5]"
    )
    assert (await read(tmp_path, data, offset=9, limit=2)).for_model == "9\n10"
    assert (await read(tmp_path, data, offset=10, limit=100_000)).for_model == "10"
    assert (await read(tmp_path, data, offset=-5, limit=0)).for_model.startswith("1\n[lines 1-1")


@pytest.mark.parametrize("offset", [11, 10**30])
async def test_an_offset_beyond_the_end_is_told(tmp_path: Path, offset: int) -> None:
    result = await read(tmp_path, b"1\n" * 10, offset=offset, limit=10**30)
    assert result.failed
    assert result.for_model == f"[f has no line {offset}]"


async def test_an_empty_file_is_no_failure(tmp_path: Path) -> None:
    assert await read(tmp_path, b"") == ToolResult("[f is empty]")


async def test_a_long_file_stops_at_the_bound(tmp_path: Path) -> None:
    result = await read(tmp_path, b"x\n" * 5_000)
    assert result.for_model.endswith(f"[lines 1-{MOST_LINES}; there are more: read on with offset {MOST_LINES + 1}]")
    wide = await read(tmp_path, (b"word " * 180 + b"\n") * 50)
    assert wide.for_model.endswith("[lines 1-11; there are more: read on with offset 12]")


async def test_binary_and_other_encodings(tmp_path: Path) -> None:
    assert await read(tmp_path, b"\x7fELF\0") == ToolResult("f is binary (5 bytes)", failed=True)
    latin = await read(tmp_path, "café\n".encode("latin-1"))
    assert latin.for_model == "café\n[not UTF-8: read as Latin-1; edit keeps its bytes]"


async def test_a_huge_line_is_one_line_and_never_whole_in_memory(tmp_path: Path) -> None:
    huge = 5 << 20
    result = await read(tmp_path, "é".encode() + b"x" * huge + b"\nsecond\n")
    first, second = result.for_model.split("\n")
    assert first.startswith("éxxx")
    assert first.endswith("characters cut]")
    assert second == "second"
    assert (await read(tmp_path, ("é" * (2 << 20)).encode())).for_model.count("\ufffd") == 0
    exact = await read(tmp_path, b"x" * (1 << 20) + b"\nnext")
    assert exact.for_model.split("\n")[1] == "next"


async def test_a_file_of_200_mb_is_read_by_parts(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.write(b"first\n" + b"x" * 8192)
        file.truncate(200 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    tool = Read(Workspace(tmp_path))
    assert (await tool.run(ReadParams("big", limit=1))).for_model == (
        "first\n[lines 1-1; there are more: read on with offset 2]"
    )
    assert (await tool.run(ReadParams("big", offset=3))).for_model == "last"


async def test_what_cannot_be_read_fails_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    tool = Read(Workspace(tmp_path))
    for path in ("fifo", "link", ".", "missing", "../x", "/etc/passwd", "a\0b", "\ud800"):
        result = await tool.run(ReadParams(path))
        assert result.failed
        assert "\n" not in result.for_model
        assert "root:" not in result.for_model


async def test_a_read_error_is_a_result() -> None:
    # The kernel answers EIO for an address that is not mapped.
    result = await Read(Workspace(Path("/proc/self"))).run(ReadParams("mem"))
    assert result.failed
    assert "mem" in result.for_model


def test_labels() -> None:
    tool = Read(Workspace(Path()))
    assert tool.label(ReadParams("a.py")) == "a.py"
    assert tool.label(ReadParams("a.py", offset=20)) == "a.py from line 20"


@pytest.mark.parametrize("text", [b"x\n", b"x" * 100_000])
async def test_a_long_read_can_be_left_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(pace, "LONGEST_STRETCH_S", 0.0)
    (tmp_path / "f").write_bytes(text * 100)
    reading = asyncio.create_task(Read(Workspace(tmp_path)).run(ReadParams("f", offset=99)))
    for _ in range(5):
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
