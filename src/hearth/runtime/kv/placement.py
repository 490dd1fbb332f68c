"""Which slot a request goes to, what is saved before and what is restored. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hearth.runtime.kv.chain import Chain

LEAST_GAIN = 64
"""Tokens that a restore must bring more than the slot holds: below, a prefill is as quick."""
LEAST_GROWTH = 256
"""Tokens that a resting conversation must have gained since it was saved to be saved again."""
LEAST_LOSS = 32
"""Tokens that would be lost with a slot that is given away, or an engine that is stopped, for it to be saved first."""


@dataclass(slots=True)
class SlotState:
    """What one slot of an engine holds, as far as is known. ``links`` as in a ``Record``; ``saved`` is how many of its
    ``tokens`` lie on disk; ``used_at`` orders slots by last use."""

    number: int
    links: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    saved: int = 0
    busy: bool = False
    used_at: float = 0.0
    maybe: str = ""
    """The last key of a request that was broken off: the slot may hold it, or what it held before."""

    def hold(self, links: dict[str, int], tokens: int, saved: int) -> None:
        """It holds this from now on, for certain."""
        self.links, self.tokens, self.saved, self.maybe = links, tokens, saved, ""

    def forget(self) -> None:
        """Nothing is known of what it holds."""
        self.hold({}, 0, 0)

    @property
    def last_key(self) -> str:
        """The key of the last message that it was asked with; empty when it holds nothing."""
        return next(reversed(self.links), "") if self.links else ""

    @property
    def unsaved(self) -> int:
        """Tokens that would be lost with it."""
        return max(self.tokens - self.saved, 0)

    def shared(self, chain: Chain) -> int:
        """Tokens at its head that this conversation begins with."""
        return self.links[chain.keys[count - 1]] if (count := self.shared_messages(chain)) else 0

    def shared_messages(self, chain: Chain) -> int:
        """Messages at its head that this conversation begins with."""
        return next((count for count in range(len(chain.keys), 0, -1) if chain.keys[count - 1] in self.links), 0)


@dataclass(frozen=True, slots=True)
class Match:
    """What is stored of a conversation: the entry, how many of its messages and tokens are the same, and whether the
    entry ends there (only then can the tokens be promised: a window or a recurrent state has no way back)."""

    name: str
    messages: int
    tokens: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The slot to use; ``save`` what it holds first; then ``restore`` this entry into it."""

    slot: int
    save: bool
    restore: Match | None


def choose(slots: Sequence[SlotState], chain: Chain, stored: Match | None) -> Choice | None:
    """Where this conversation goes; None while all slots are busy.

    It stays in a slot that holds it, or that holds another way on from one of its messages: that one is saved first.
    Otherwise it takes an empty slot, or the one that was not used for longest. To write over a neighbour who shares
    but the system text would save its prefill, and lose the neighbour.
    """
    idle = [slot for slot in slots if not slot.busy]
    if not idle:
        return None
    nearest = max(idle, key=lambda slot: (slot.shared(chain), -slot.tokens))
    kin = nearest.shared_messages(chain) > chain.base
    broken_off = next((slot for slot in idle if slot.maybe in chain.keys), None)
    taken = nearest if kin else broken_off or min(idle, key=lambda slot: (slot.tokens > 0, slot.used_at))
    gain = stored.tokens - taken.shared(chain) if stored else 0
    restore = stored if gain >= LEAST_GAIN else None
    save = taken.last_key not in chain.keys and taken.unsaved >= LEAST_LOSS
    return Choice(taken.number, save, restore)
