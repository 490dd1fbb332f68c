"""Which requests engines have died of."""

from __future__ import annotations

import pytest

from hearth.gateway.crashes import REMEMBERED, REMEMBERED_S, Crashes
from hearth.gateway.refusal import Refusal


def test_a_request_is_refused_after_two_deaths_for_a_while() -> None:
    now = [0.0]
    crashes = Crashes(lambda: now[0])
    assert [crashes.note("m", b"body"), crashes.note("m", b"body")] == [1, 2]
    with pytest.raises(Refusal, match="2 engines of m died"):
        crashes.check("m", b"body")
    crashes.check("m", b"another")
    crashes.check("another", b"body")
    now[0] = REMEMBERED_S
    crashes.check("m", b"body")
    assert crashes.note("m", b"body") == 1


def test_only_so_many_are_remembered() -> None:
    crashes = Crashes()
    for number in range(REMEMBERED + 1):
        crashes.note("m", str(number).encode())
    assert (crashes.note("m", b"0"), crashes.note("m", b"2")) == (1, 2)
