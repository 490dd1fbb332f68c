"""The last lines, and what is added."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.ops.logs import follow, last_lines


@given(
    st.lists(st.binary(max_size=30).filter(lambda line: not set(line) & set(b"\n\r")), max_size=30), st.integers(0, 40)
)
def test_the_last_lines_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], count: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert last_lines(path, count) == b"".join(line + b"\n" for line in lines[max(0, len(lines) - count) :])


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 300_000 + b"\n" + b"y" * 100_000 + b"\nlast\n")
    assert last_lines(path, 2) == b"y" * 100_000 + b"\nlast\n"


class Enough(Exception):
    """Thrown by the reader to end what goes on for ever."""


def test_what_is_added_is_shown_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    steps = iter([b"one\n", None, b"two\n"])

    def pause() -> None:
        step = next(steps)
        if step is None:
            path.rename(tmp_path / "log.1")
            path.write_bytes(b"new\n")
        else:
            with path.open("ab") as file:
                file.write(step)

    shown: list[bytes] = []

    def show(data: bytes) -> None:
        shown.append(data)
        if b"two" in data:
            raise Enough

    with pytest.raises(Enough):
        follow(path, show, pause)
    assert b"".join(shown) == b"one\nnew\ntwo\n"
