"""The verdict on an engine, as tables and over random histories. Times are seconds of no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hearth.runtime.engine import Activity
from hearth.runtime.watch.vigil import Canary, Health, Limits, Look, Pending, Pulse, Verdict, Vigil

LIMITS = Limits()
READING = Pending(1, 0, heard_at=0.0)
WRITING = Pending(1, 0, heard_at=0.0, pieces=9, pause_s=0.1)


@dataclass
class Story:
    """An engine over time: every two seconds a look and a verdict, until ``until``."""

    requests: Sequence[Pending] = (WRITING,)
    cpu: float = 0.0
    """Share of a core."""
    tokens: float = 0.0
    """A second, in slot 0."""
    working: frozenset[int] = frozenset({0})
    answers: bool = True
    pulse: bool = True
    card_busy: float | None = None
    ours: bool = True
    cards: bool = False
    canary: Canary | None = None
    disk: float = 0.0
    verdicts: list[tuple[float, Verdict]] = field(default_factory=list)

    def play(self, until: float) -> Verdict:
        """The last verdict, or the first ``stuck``."""
        vigil = Vigil(LIMITS, ours=self.ours, cards=self.cards)
        at = 4.0
        while at <= until:
            vigil.note(self.look(at), self.requests)
            verdict = vigil.judge(self.requests, at, self.canary)
            self.verdicts.append((at, verdict))
            if verdict.health is Health.STUCK:
                return verdict
            at += 2.0
        return self.verdicts[-1][1]

    def look(self, at: float) -> Look:
        activity = Activity(self.working, {0: int(self.tokens * at)}) if self.answers else None
        pulse = Pulse(self.cpu * at, int(self.disk * at)) if self.pulse else None
        return Look(at, activity, pulse, self.card_busy)


def test_a_silent_answer_of_an_idle_engine_is_stuck_after_twenty_seconds() -> None:
    story = Story()
    verdict = story.play(100)
    assert verdict.health is Health.STUCK
    assert verdict.signals == ("no sign of progress for 22.0 s", "it computes nothing")
    assert [each.health for _, each in story.verdicts][:4] == ["healthy", "healthy", "healthy", "suspect"]
    assert story.verdicts[3][1].signals == ("it computes nothing while somebody waits",)


@pytest.mark.parametrize(
    ("requests", "after_s"),
    [
        ([WRITING], 22),
        ([READING], 32),
        ([replace(READING, expected_s=10)], 72),
        ([replace(WRITING, pause_s=2)], 62),
        ([replace(READING, slot=1)], 16),
        ([replace(READING, heard_at=-100.0)], 10),
    ],
    ids=["decode", "prefill", "long prefill", "slow answer", "not begun", "silent before the first look"],
)
@pytest.mark.parametrize("answers", [True, False], ids=["slots tell", "slots hang"])
def test_how_long_each_silence_may_last(requests: list[Pending], after_s: float, answers: bool) -> None:
    if requests[0].slot == 1 and not answers:
        after_s = 32
    story = Story(requests, answers=answers)
    assert story.play(200).health is Health.STUCK
    assert story.verdicts[-1][0] == after_s


@pytest.mark.parametrize(
    "story",
    [
        Story(cpu=0.02),
        Story(cpu=1.0, answers=False),
        Story(tokens=1),
        Story(tokens=1, pulse=False),
        Story([replace(READING, slot=None)], tokens=0.5),
        Story(cards=True, card_busy=0.9),
        Story(disk=1e6),
        Story([]),
    ],
    ids=["processor", "long batch", "tokens", "tokens alone", "no slot", "card", "disk", "nobody waits"],
)
def test_what_moves_is_left_alone(story: Story) -> None:
    story.play(1700)
    assert {verdict for _, verdict in story.verdicts} == {Verdict()}


def test_who_is_not_begun_is_given_up_alone_while_the_engine_works() -> None:
    other = replace(WRITING, number=2)
    story = Story([replace(READING, slot=1), other], cpu=1.0, tokens=10)
    # The other hears a piece all the time; here by its tokens alone.
    assert story.play(16).lost == {1}
    assert story.verdicts[-1][1].health is Health.SUSPECT
    assert story.verdicts[-1][1].ask_token
    assert all(not verdict.lost for at, verdict in story.verdicts if at < 15)


@pytest.mark.parametrize(
    "story",
    [Story(cpu=1.0, working=frozenset({0})), Story(cpu=0.2, disk=1e8, working=frozenset())],
    ids=["a neighbour's batch", "a state is saved"],
)
def test_who_cannot_be_begun_yet_is_waited_for(story: Story) -> None:
    story.requests = [replace(READING, slot=1)]
    story.play(1700)
    assert {verdict for _, verdict in story.verdicts} == {Verdict()}


def test_without_a_slot_nobody_is_called_not_begun_while_one_works() -> None:
    story = Story([replace(READING, slot=None), replace(READING, slot=None, number=2)], cpu=1.0)
    assert not story.play(600).lost


def test_on_cards_a_token_is_asked_for() -> None:
    story = Story(cards=True)
    assert story.play(40) == Verdict(
        Health.SUSPECT, ("no sign of progress for 40.0 s",), ask_token=True, after_s=pytest.approx(40)
    )
    story.canary = Canary(asked_at=22)
    assert story.play(500).signals[1] == "no token comes when it is asked for one"
    assert story.verdicts[-1][0] == 84
    assert Story(cards=True, canary=Canary(22, came=True)).play(500).health is Health.SUSPECT
    assert Story(cards=True, canary=Canary(22, came=False)).play(500).health is Health.STUCK


@pytest.mark.parametrize(
    ("story", "after_s"),
    [(Story(cards=True, cpu=1), 600), (Story(pulse=False), 600), (Story(cpu=1), 3600)],
    ids=["spins for a card", "the system does not tell", "spins"],
)
def test_who_may_compute_is_given_long(story: Story, after_s: float) -> None:
    story.canary = Canary(asked_at=30)
    assert story.play(after_s - 10).health is not Health.STUCK
    assert story.play(after_s + 10).health is Health.STUCK
    story.canary = Canary(asked_at=30, came=True)
    assert story.play(5000).health is not Health.STUCK


def test_an_engine_that_is_not_ours_loses_a_request_and_nothing_else() -> None:
    story = Story([READING, replace(READING, number=2, heard_at=1000)], ours=False, pulse=False, answers=False)
    assert story.play(1790) == Verdict()
    assert story.play(1820).lost == {1}
    assert all(verdict.health is Health.HEALTHY for _, verdict in story.verdicts)


def test_who_starves_beside_others_is_given_up_one_day() -> None:
    story = Story([replace(WRITING, slot=1), replace(WRITING, number=2)], tokens=5, cpu=1, working=frozenset({0, 1}))
    assert story.play(1790) == Verdict()
    assert story.play(1820).lost == {1}


def test_a_piece_since_the_last_look_is_a_sign_of_life() -> None:
    vigil = Vigil(LIMITS, ours=True, cards=False)
    for at in range(0, 100, 2):
        vigil.note(Story().look(float(at)), [WRITING])
    assert vigil.judge([WRITING], 99, None).health is Health.STUCK
    assert vigil.judge([WRITING, replace(WRITING, number=2, heard_at=98.5)], 99, None) == Verdict()
    vigil.rest()
    assert vigil.judge([WRITING], 99, None).health is not Health.STUCK


moves = some.sampled_from(["nothing", "cpu", "tokens", "piece", "card"])


@given(
    history=some.lists(some.tuples(moves, some.booleans(), some.floats(0.1, 9)), min_size=4, max_size=60),
    canary=some.sampled_from([None, Canary(0, None), Canary(0, False), Canary(5, True)]),
    cards=some.booleans(),
    slot=some.sampled_from([None, 0, 1]),
)
@settings(max_examples=400, deadline=None)
def test_nothing_that_moved_within_three_looks_is_called_stuck(
    history: list[tuple[str, bool, float]], canary: Canary | None, cards: bool, slot: int | None
) -> None:
    """Of our own engines, whose system tells: whatever else is or is not seen."""
    vigil = Vigil(LIMITS, ours=True, cards=cards)
    at, cpu, tokens, heard, since_moved = 0.0, 0.0, 0, 0.0, 0
    vigil.note(Look(at, Activity(frozenset({0}), {0: 0}), Pulse(0.0), 0.0 if cards else None), [])
    for moved, answers, pause in history:
        at += pause
        cpu += pause if moved == "cpu" else 0.0
        tokens += moved == "tokens"
        heard = at if moved == "piece" else heard
        request = Pending(1, slot, heard, int(heard > 0), 0.1)
        # A card's own figure, or else nobody knows what a working processor means: tested above.
        busy = (1.0 if moved in ("card", "cpu") else 0.0) if cards else None
        activity = Activity(frozenset({0}), {0: tokens}) if answers or moved == "tokens" else None
        vigil.note(Look(at, activity, Pulse(cpu), busy), [request])
        silent_to_all = moved == "nothing" or (moved == "card" and not cards)
        since_moved = since_moved + 1 if silent_to_all else 0
        verdict = vigil.judge([request], at, canary)
        if since_moved < LIMITS.flat_looks:
            assert verdict.health is not Health.STUCK
