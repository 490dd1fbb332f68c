"""The prefix cache of each engine, all over one store."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from hearth.runtime.engine import Engine
from hearth.runtime.kv.cache import PrefixCache
from hearth.runtime.kv.store import KvStore
from hearth.runtime.watch.watchdog import Watchdog
from hearth.settings import KvSettings

log = logging.getLogger("hearth.runtime")


class Caches:
    """Opens the cache of an engine that is ready."""

    def __init__(self, settings: KvSettings, folder: Path) -> None:
        """``folder`` is where states are saved; nothing is read or made yet."""
        self._settings = settings
        self._store = KvStore(folder, int(settings.quota_gib * (1 << 30)))

    async def open(self, engine: Engine, watch: Watchdog) -> PrefixCache | None:
        """The engine's cache; None when it saves no state, or the owner or the disk forbids it."""
        if not self._settings.enabled or not engine.kv_state:
            return None
        try:
            await asyncio.to_thread(self._store.open)
        except OSError as error:
            log.warning("KV state is not saved: %s: %s", self._store.folder, error.strerror or error)
            return None
        return PrefixCache(engine, self._store, rest_s=self._settings.rest_s, follow=watch.follow)
