"""Work that must not be left half-way, whoever leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def complete(work: Coroutine[Any, Any, Result]) -> Result:
    """Do it whole even if the caller is cancelled meanwhile, who is then cancelled when it is done."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
