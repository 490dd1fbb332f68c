"""Whether an engine is stuck, told from what is seen of it. Pure: no clock, no I/O.

Liveness is progress: bytes of an answer, tokens in a slot. A health route says ok while nothing is computed, and says
nothing while a long prompt is read, so it is not asked. An engine is given up on two independent signals only: a
request that has been silent for longer than it may, and an engine that computes nothing or does not decode a token
when it is asked for one. What reads a long prompt for an hour is slow, not stuck: its processor time or its counters
move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from hearth.runtime.engine import Activity

_BUSY_CARD = 0.05
_BUSY_DISK = 1 << 16
"""Bytes between two looks: a model that is larger than the memory waits for its disk, and is slow, not stuck."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may take, in seconds; silence counts from the last sign of progress."""

    quiet_s: float = 4.0
    """Silence after which the engine is looked at, at first."""
    look_every_s: float = 2.0
    look_s: float = 2.0
    """How long it may take to say what it does. That it says nothing proves nothing: it does so in a long batch."""
    decode_s: float = 20.0
    """Silence within an answer, if that is more than ``pauses`` times its usual pause between two pieces."""
    prefill_s: float = 30.0
    """Silence before an answer, beyond ``prefill_times`` what reading the prompt should take."""
    queued_s: float = 15.0
    """Silence of a request that the engine has not begun by its own account."""
    canary_s: float = 60.0
    """How long one token may take that is asked for to see whether any comes."""
    busy_s: float = 600.0
    """Silence of everybody in an engine of which nobody knows whether it computes: one on cards whose processor works,
    which it also does while it waits for a card, or one on a system that does not tell."""
    spin_s: float = 3600.0
    """Processor time alone, without a token in any slot: 2,048 tokens, the longest batch, at 0.6 a second."""
    unseen_s: float = 1800.0
    """Silence in an answer of an engine that is not ours, or that works for others meanwhile."""
    pauses: float = 30.0
    prefill_times: float = 4.0
    flat_looks: int = 3
    """Looks in a row in which nothing moves."""
    idle_cpu: float = 0.01
    """Share of one core that an idle engine may take: 2 ticks of the clock between two looks. Answering the looks costs
    it a twentieth of that."""

    def scaled(self, factor: float) -> Limits:
        """The same, with all times multiplied."""
        times = {field.name: getattr(self, field.name) * factor for field in fields(self) if field.name.endswith("_s")}
        return replace(self, **times)


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for its engine, by numbers of ``time.monotonic()``.

    ``slot`` is where it was sent, None when the engine chose. ``heard_at`` is when the last of its ``pieces`` came, or
    when it was asked; ``pause_s`` the usual time between two; ``expected_s`` what reading its prompt should take, 0
    when nobody knows.
    """

    number: int
    slot: int | None
    heard_at: float
    pieces: int = 0
    pause_s: float = 0.0
    expected_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the system knows of an engine's processes: processor seconds and bytes from and to disks so far."""

    cpu_s: float
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an engine. ``activity`` is None when it did not answer, ``pulse`` when the system does not tell,
    ``card_busy`` (0 to 1) when it has no card or nobody asked that."""

    at: float
    activity: Activity | None
    pulse: Pulse | None
    card_busy: float | None = None


class Health(StrEnum):
    """What is thought of an engine. ``suspect``: nobody new is sent to it."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``signals`` are the two or more reasons, in words; ``lost`` the requests that are given up though the engine may
    live; ``ask_token`` says that a token would tell more; ``after_s`` is the longest silence of those concerned."""

    health: Health = Health.HEALTHY
    signals: tuple[str, ...] = ()
    lost: frozenset[int] = frozenset()
    ask_token: bool = False
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Canary:
    """A token that was asked for: when, and how it ended (True: it came; False: it was refused; None: not yet)."""

    asked_at: float
    came: bool | None = None


class Vigil:
    """What looks at one engine have shown, and what follows from it.

    ``ours`` says that its processes are ours: only those may be called stuck, of others a request is lost. ``cards``
    says that it computes on cards, where an idle processor proves nothing.
    """

    def __init__(self, limits: Limits, *, ours: bool, cards: bool) -> None:
        self._limits = limits
        self._ours = ours
        self._cards = cards
        self._last: Look | None = None
        self._activity: Activity | None = None
        self._still = 0
        self._token_at = float("-inf")
        self._slot_at: dict[int, float] = {}
        self._unseated: dict[int, int] = {}

    def rest(self) -> None:
        """Forget: nobody was waiting for a while, or we did not see."""
        self._last = self._activity = None
        self._still = 0
        self._slot_at.clear()
        self._unseated.clear()

    def note(self, look: Look, requests: Sequence[Pending]) -> None:
        """One more look, while these requests were waiting."""
        before, self._last = self._last, look
        moved = self._note_tokens(look)
        if before is None:
            return
        moved |= any(request.heard_at > before.at for request in requests)
        moved |= _computes(before, look, self._limits.idle_cpu)
        told = before.pulse is not None and look.pulse is not None
        self._still = self._still + 1 if told and not moved else 0
        if look.activity is not None and not _is_at_the_disk(before, look):
            self._note_unseated(look.activity, requests, computes=moved)

    def _note_tokens(self, look: Look) -> bool:
        if look.activity is None:
            return False
        before, self._activity = self._activity, look.activity
        if before is None:
            return False
        changed = {
            slot
            for slot in before.working | look.activity.working | before.tokens.keys() | look.activity.tokens.keys()
            if before.tokens.get(slot) != look.activity.tokens.get(slot)
            or (slot in before.working) != (slot in look.activity.working)
        }
        self._slot_at |= dict.fromkeys(changed, look.at)
        if changed:
            self._token_at = look.at
        return bool(changed)

    def _note_unseated(self, activity: Activity, requests: Sequence[Pending], *, computes: bool) -> None:
        # Nobody is begun before the batch that is computed has ended: then there are tokens. Of those sent to no slot
        # in particular nobody says who is worked on: only that none is.
        self._unseated = {
            request.number: self._unseated.get(request.number, 0) + 1
            for request in requests
            if not request.pieces
            and (
                not activity.working
                or (
                    request.slot not in (None, *activity.working)
                    and (not computes or self._token_at > request.heard_at)
                )
            )
        }

    def judge(self, requests: Sequence[Pending], now: float, canary: Canary | None = None) -> Verdict:
        """What is to be thought of the engine while these requests wait; ``canary`` is a token that was asked for."""
        silent = {request.number: now - self._progress_at(request) for request in requests}
        if not self._ours:
            return _give_up(silent, {number for number, silent_s in silent.items() if silent_s > self._limits.unseen_s})
        unbegun = {
            request.number
            for request in requests
            if self._unseated.get(request.number, 0) >= self._limits.flat_looks
            and silent[request.number] > self._limits.queued_s
        }
        over = unbegun | {request.number for request in requests if silent[request.number] > self._limit(request)}
        heard = max((request.heard_at for request in requests), default=float("-inf"))
        idle = self._is_still and self._sees_cards and (self._last is None or heard <= self._last.at)
        if not over:
            doubt = ("it computes nothing while somebody waits",) if idle and requests else ()
            return Verdict(Health.SUSPECT if doubt else Health.HEALTHY, doubt)
        after = max(silent[number] for number in over)
        silence = f"no sign of progress for {after:.1f} s"
        if idle:
            more = "it did not begin the request" if unbegun else "it computes nothing"
            return Verdict(Health.STUCK, (silence, more), after_s=after)
        alive_at = max(heard, self._token_at)
        if self._fails_canary(canary, alive_at, now):
            return Verdict(Health.STUCK, (silence, "no token comes when it is asked for one"), after_s=after)
        if unbegun:
            given_up = _give_up(silent, unbegun, "it did not begin the request")
            return replace(given_up, health=Health.SUSPECT, ask_token=True)
        if now - alive_at < max(self._patience() / 2, self._limits.quiet_s):
            # The engine lives. Whoever gets nothing of it all the same is given up one day.
            fed = now - alive_at < self._limits.decode_s
            return _give_up(silent, {number for number in over if fed and silent[number] > self._limits.unseen_s})
        return Verdict(Health.SUSPECT, (silence,), ask_token=True, after_s=after)

    def _progress_at(self, request: Pending) -> float:
        # Words may be held back, as of a tool call that is not whole: tokens in its slot are progress too.
        told = self._token_at if request.slot is None else self._slot_at.get(request.slot, float("-inf"))
        return max(request.heard_at, told)

    def _limit(self, request: Pending) -> float:
        if request.pieces:
            return max(self._limits.decode_s, self._limits.pauses * request.pause_s)
        return self._limits.prefill_s + self._limits.prefill_times * request.expected_s

    @property
    def _is_still(self) -> bool:
        return self._still >= self._limits.flat_looks

    @property
    def _sees_cards(self) -> bool:
        return not self._cards or (self._last is not None and self._last.card_busy is not None)

    def _patience(self) -> float:
        """Seconds without any token for which the engine may have a reason."""
        if self._is_still:
            return 0.0
        tells = self._last is not None and self._last.pulse is not None and self._sees_cards
        return self._limits.spin_s if tells else self._limits.busy_s

    def _fails_canary(self, canary: Canary | None, alive_at: float, now: float) -> bool:
        # A token that was asked for waits like everybody for the batch that is being computed.
        if canary is None or canary.came or now - alive_at < self._patience():
            return False
        if canary.came is False:
            return alive_at < canary.asked_at
        return now - max(alive_at, canary.asked_at) > self._limits.canary_s


def _give_up(silent: dict[int, float], lost: set[int], *more: str) -> Verdict:
    if not lost:
        return Verdict()
    after = max(silent[number] for number in lost)
    return Verdict(signals=(f"no sign of progress for {after:.1f} s", *more), lost=frozenset(lost), after_s=after)


def _is_at_the_disk(before: Look, after: Look) -> bool:
    """Whether it loads or saves something."""
    told = before.pulse, after.pulse
    return told[0] is not None and told[1] is not None and told[1].disk_bytes - told[0].disk_bytes >= _BUSY_DISK


def _computes(before: Look, after: Look, idle_cpu: float) -> bool:
    if after.card_busy is not None and after.card_busy > _BUSY_CARD:
        return True
    if before.pulse is None or after.pulse is None:
        return False
    if _is_at_the_disk(before, after):
        return True
    return after.pulse.cpu_s - before.pulse.cpu_s > idle_cpu * (after.at - before.at)
