"""Places each request into a slot of one engine such that as little as possible is computed: restores before it,
saves after it. What is decided is in ``placement``; here it is carried out.

Nothing here may fail a request: whatever the disk or the engine's slots do, the engine can always read the prompt anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from hearth.runtime.completion import complete
from hearth.runtime.engine import Engine
from hearth.runtime.engine_http import Refused
from hearth.runtime.kv.chain import Chain, measure_links, read_chain, split_raw
from hearth.runtime.kv.placement import LEAST_GROWTH, LEAST_LOSS, Choice, SlotState, choose
from hearth.runtime.kv.slot_api import SlotApi
from hearth.runtime.kv.store import KvStore
from hearth.runtime.line import Places

REST_PER_SAVE = 20.0
"""A state whose save takes long rests longer: so many times the save."""
PATIENCE = 10.0
"""So many rests long a save waits for a moment in which the engine does nothing; then it is done between two tokens."""
LEAST_BASE_BYTES = 1024
"""System text and tools below this (about 256 tokens) are not saved by themselves."""
KEPT_PROMISE = 0.5
"""Share of the promised tokens that must be reused; below, the entry is thrown away. Less than all is no fault of it: a
client that changes the last answer makes a model with a recurrent state go back to a checkpoint."""
_FAILURES = (Refused, aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError)

log = logging.getLogger("hearth.runtime")

Follow: TypeAlias = Callable[[int], AbstractAsyncContextManager[object]]
"""Watches over what an engine does in a slot."""


@dataclass(slots=True)
class Place:
    """Where one request goes. Whoever sent it sets the last three from the engine's ``timings``, if the answer came to
    its end."""

    slot: int
    promised: int = 0
    """Tokens that a restored entry has promised to be reused."""
    entry: str = ""
    reused: int = 0
    """Tokens of the prompt that were there (``cache_n``)."""
    read: int = 0
    """Tokens of the prompt that were computed (``prompt_n``)."""
    made: int = 0
    """Tokens of the answer (``predicted_n``)."""
    broke_off: bool = False
    """Whether the engine broke off while it read the beginning of the prompt: it may have died of it."""


def _alone(_slot: int) -> AbstractAsyncContextManager[object]:
    return contextlib.nullcontext()


class PrefixCache:
    """The slots of one engine, and the store that they are saved into. One for each engine process."""

    def __init__(self, engine: Engine, store: KvStore, *, rest_s: float, follow: Follow = _alone) -> None:
        """The engine must be ready. Nothing is sent yet. ``rest_s`` is a conversation's rest before its save;
        ``follow`` is around whatever is computed in a slot, and may give it up."""
        self._model = engine.card.name
        self._state = engine.kv_state
        self._context = engine.context_length
        self._store = store
        self._rest_s = rest_s
        self._follow = follow
        self._api = SlotApi(engine.endpoint)
        self._slots = [SlotState(number) for number in range(engine.slots)]
        # One more than the slots are never busy at once.
        self._free = Places(engine.slots)
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._resting: dict[int, asyncio.Task[None]] = {}
        self._saving: dict[int, asyncio.Task[None]] = {}
        self._parts: set[Path] = set()
        self._closed = False
        self._save_s = 0.0
        self._bytes_a_token = 0.0
        self.trouble = ""
        """Why the last save failed; empty when it did not."""
        self.restored = 0
        """Restores that were done."""
        self.saved = 0
        """Saves that were done."""

    @contextlib.asynccontextmanager
    async def place(self, owner: str, request: Mapping[str, Any], rank: int = 0) -> AsyncIterator[Place]:
        """The slot for this request, held while the context is open; waits for one: lower ranks first, then in order of
        arrival.

        ``request`` is the body of a chat or a raw completion, decoded; ``owner`` whose it is.
        """
        chain = read_chain(self._state, owner, request)
        await self._free.acquire(rank)
        try:
            await self._await_save(chain)
            several = _wants_several(request)
            reuses = request.get("cache_prompt") is not False and not several
            match = self._store.find(chain, self._context) if reuses else None
            choice = choose(self._slots, chain, match)
            assert choice is not None, "a free slot is idle"
            slot = self._slots[choice.slot]
            self._take(slot)
            place = None
            try:
                if several:
                    await self._give_up_all(slot)
                place = await self._prepare(slot, choice, chain)
                if reuses and match is None and self._is_new_base(slot, chain):
                    place.broke_off = not await self._read_base(slot, chain, request)
                yield place
                await self._remember(slot, chain, place)
            except BaseException:
                if place is not None:
                    self._doubt(slot, chain)
                raise
            finally:
                self._leave(slot)
        finally:
            self._free.release()

    def report(self) -> dict[str, Any]:
        """How many states were saved and restored, and what is wrong with saving."""
        return {"saved": self.saved, "restored": self.restored, "trouble": self.trouble}

    async def save_all(self, limit_s: float) -> None:
        """Save what idle slots hold, within ``limit_s`` seconds: before the engine is stopped."""
        self._closed = True
        for task in self._resting.values():
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                if self._saving:
                    await asyncio.wait(self._saving.values())
                for slot in self._slots:
                    if not slot.busy and slot.unsaved >= LEAST_LOSS:
                        await self._save(slot)

    def clear_parts(self) -> None:
        """Remove what the engine, which must be gone, did not write to its end; others may be writing."""
        for part in self._parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    async def close(self) -> None:
        """Let go of the engine."""
        self._closed = True
        for task in self._resting.values():
            task.cancel()
        await self._api.close()

    def _take(self, slot: SlotState) -> None:
        slot.busy = True
        self._quiet.clear()
        if task := self._resting.pop(slot.number, None):
            task.cancel()

    def _leave(self, slot: SlotState) -> None:
        slot.used_at = time.monotonic()
        self._settle(slot)
        if slot.unsaved >= LEAST_GROWTH and not self._closed:
            self._resting[slot.number] = asyncio.create_task(self._save_when_rested(slot))

    def _settle(self, slot: SlotState) -> None:
        slot.busy = False
        if not any(other.busy for other in self._slots):
            self._quiet.set()

    async def _await_save(self, chain: Chain) -> None:
        """Wait while a slot that holds this conversation is being saved: another one would have to read again what was
        said since the save before, and the engine does nothing else meanwhile."""
        for number, task in list(self._saving.items()):
            if self._slots[number].shared_messages(chain) > chain.base:
                await asyncio.wait([task])

    async def _prepare(self, slot: SlotState, choice: Choice, chain: Chain) -> Place:
        if choice.save:
            await complete(self._save(slot))
        match = choice.restore
        if match is not None and not await complete(self._restore(slot, match.name)):
            # A save may have put a longer one in its place just now.
            later = self._store.find(chain, self._context)
            match = None if later is None or later.name == match.name else later
            if match is not None and not await complete(self._restore(slot, match.name)):
                match = None
        return Place(slot.number, match.tokens if match.whole else 0, match.name) if match else Place(slot.number)

    def _is_new_base(self, slot: SlotState, chain: Chain) -> bool:
        """Whether system text and tools, of which nothing is there, are long enough to be saved by themselves."""
        if slot.shared(chain) or not 0 < chain.base < len(chain.keys):
            return False
        return chain.sizes[chain.base - 1] >= LEAST_BASE_BYTES and not self._store.has_base(chain.base_key)

    async def _give_up_all(self, taken: SlotState) -> None:
        """An engine that makes several answers at once takes idle slots for them, and does not say which."""
        for slot in self._slots:
            if slot is taken or not slot.busy:
                if slot.unsaved >= LEAST_LOSS:
                    await complete(self._save(slot))
                # Who came meanwhile knows what it holds, and the engine sees that it is taken.
                if slot is taken or not slot.busy:
                    slot.forget()

    async def _restore(self, slot: SlotState, name: str) -> bool:
        """Load an entry. A slot of which the engine refused it holds nothing that we know of."""
        record = await asyncio.to_thread(self._store.check, name)
        if record is None:
            return False
        loan = await asyncio.to_thread(self._store.lend, name)
        try:
            tokens = await self._api.restore(slot.number, loan)
        except _FAILURES as error:
            slot.forget()
            if not self._store.path_of(name).exists():
                self._store.forget(name)
            # An engine that is gone or slow says nothing against the entry; one that broke off over it does.
            elif isinstance(error, Refused | aiohttp.ServerDisconnectedError):
                log.warning("%s: a saved state cannot be restored and is dropped: %s", self._model, error)
                self._store.damaged += 1
                await asyncio.to_thread(self._store.drop, name)
            return False
        finally:
            await asyncio.to_thread(self._store.take_back, loan)
        slot.hold(dict(record.links), tokens, saved=tokens)
        self.restored += 1
        return True

    async def _read_base(self, slot: SlotState, chain: Chain, request: Mapping[str, Any]) -> bool:
        """Read system text and tools by themselves and save that, once for ever: every later conversation begins with
        them, on models that have no way back in their state too. Whether the engine was still there after it."""
        try:
            tokens = await self._base_tokens(chain, request)
            slot.forget()
            async with self._follow(slot.number):
                await self._api.prefill(slot.number, tokens)
            slot.hold({chain.base_key: len(tokens)}, len(tokens), saved=0)
            await complete(self._save(slot, base=True))
        except _FAILURES as error:
            log.info("%s: its system text is not saved by itself: %s", self._model, error)
            # Where nobody listens any more, it was gone before.
            return isinstance(error, aiohttp.ClientConnectorError) or not isinstance(
                error, aiohttp.ClientConnectionError
            )
        return True

    async def _base_tokens(self, chain: Chain, request: Mapping[str, Any]) -> list[int]:
        if "messages" not in request:
            return await self._api.tokens_of_text("".join(split_raw(request["prompt"])[: chain.base]))
        prompts = [
            await self._api.tokens_of({**request, "messages": [*request["messages"][: chain.base], other]})
            for other in ({"role": "user", "content": "A"}, {"role": "user", "content": "1"})
        ]
        return _common(*prompts)

    async def _remember(self, slot: SlotState, chain: Chain, place: Place) -> None:
        prompt = place.reused + place.read
        if not prompt:
            self._doubt(slot, chain)
            return
        if place.promised and place.reused < KEPT_PROMISE * place.promised:
            log.warning(
                "%s: a saved state of %d tokens gave %d and is dropped", self._model, place.promised, place.reused
            )
            self._store.damaged += 1
            await complete(asyncio.to_thread(self._store.drop, place.entry))
        kept = slot.saved if slot.last_key in chain.keys else 0
        slot.hold(measure_links(chain, slot.links, prompt), prompt + place.made, min(kept, prompt))

    def _doubt(self, slot: SlotState, chain: Chain) -> None:
        """An answer that did not come to its end: the slot holds what both had in common, and perhaps more, which is
        not to be saved under a name that may be wrong."""
        shared = slot.shared(chain)
        links = {key: count for key, count in slot.links.items() if key in chain.keys}
        slot.hold(links, shared, min(slot.saved, shared))
        slot.maybe = chain.keys[-1] if chain.keys else ""

    async def _save_when_rested(self, slot: SlotState) -> None:
        rest = max(self._rest_s, REST_PER_SAVE * self._save_s)
        await asyncio.sleep(rest)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE * rest):
                await self._quiet.wait()
        async with self._free.held():
            if slot.busy or self._closed:
                return
            slot.busy = True
            # Not to be cut: the engine would go on writing. Nobody takes a busy slot, so nobody cancels it.
            task = self._resting.pop(slot.number, None)
            if task is not None:
                self._saving[slot.number] = task
            try:
                await self._save(slot)
            finally:
                self._settle(slot)
                self._saving.pop(slot.number, None)

    async def _save(self, slot: SlotState, *, base: bool = False) -> None:
        """Save what the slot holds. What fails is told once an hour."""
        part = self._store.new_part()
        self._parts.add(part)
        held = slot.links
        began = time.monotonic()
        try:
            room = await asyncio.to_thread(self._store.room)
            if (expected := slot.tokens * self._bytes_a_token) > room:
                raise OSError(
                    errno.ENOSPC, f"it has some {expected / 2**20:,.0f} MiB, and {room / 2**20:,.0f} are left"
                )
            tokens, written = await self._api.save(slot.number, part.name)
            self._save_s = time.monotonic() - began
            self._bytes_a_token = written / max(tokens, 1)
            links = {key: min(count, tokens) for key, count in held.items()}
            await asyncio.to_thread(self._store.add, part, written, self._model, links, tokens, base=base)
        except _FAILURES as error:
            # Of an engine that is gone it is told elsewhere why.
            cause = "engine" if isinstance(error, aiohttp.ClientError | TimeoutError) else "folder"
            folder = self._store.folder
            self._store.warn(cause, f"{self._model}: its KV state cannot be saved to {folder}: {error}")
            self.trouble = str(error) or type(error).__name__
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            self._parts.discard(part)
            return
        self._parts.discard(part)
        self.trouble = ""
        self.saved += 1
        if slot.links is held:
            slot.saved = slot.tokens = tokens


def _wants_several(request: Mapping[str, Any]) -> bool:
    return any(request.get(name) not in (None, 1) for name in ("n", "n_cmpl"))


def _common(one: list[int], other: list[int]) -> list[int]:
    count = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[:count]
