"""How each kind of model runs best: settings of an engine process that follow from model and machine. Pure."""

from __future__ import annotations

import os

from hearth.errors import EngineFailed
from hearth.runtime.cores import allowed_cores
from hearth.runtime.engine import own_context
from hearth.runtime.launch import MOST_TOKENS, SMALLEST_CONTEXT, Launch
from hearth.settings import EngineSettings

_MOST_CACHE_MIB = 8192


def plain_launch(settings: EngineSettings, native_context: int) -> Launch:
    """What the owner's settings ask for, without regard to memory. ``native_context`` is what the model was trained
    for in tokens, 0 when unsaid. Raises EngineFailed when no engine can hold so much."""
    context = max(settings.context or own_context(native_context), SMALLEST_CONTEXT)
    if context * settings.slots > MOST_TOKENS:
        raise EngineFailed(
            f"a context of {context:,} tokens in {settings.slots} slots is more than an engine can hold, "
            f"{MOST_TOKENS:,} in all",
            "set a smaller context (HEARTH_CONTEXT) or fewer slots (HEARTH_SLOTS)",
        )
    return Launch(
        context=context,
        slots=settings.slots,
        threads=min(settings.threads or allowed_cores(), 512),
        cache_ram_mib=_cache_mib(),
    )


def _cache_mib() -> int:
    """Host memory for prompts that lost their slot: an eighth of the machine's, at most the engine's own default."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MOST_CACHE_MIB, total // 8 // (1 << 20))
