"""Work that must not be left half-way, whoever leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")

log = logging.getLogger("hearth.runtime")


async def complete(work: Coroutine[Any, Any, Result]) -> Result:
    """Do it whole even if the caller is cancelled meanwhile, however often, who is then cancelled when it is done."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.info("what somebody left half-way failed: %s", error)
        raise
