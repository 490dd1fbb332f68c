"""The owner's word on which models are loaded. Over the unix socket only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec

from hearth.errors import HearthError, ModelUnavailable
from hearth.gateway.asgi import ClientGone, Request
from hearth.gateway.refusal import Refusal, bad_request
from hearth.runtime.engine import LoadProgress
from hearth.runtime.supervisor import Supervisor

Result = TypeVar("Result")


class _Order(msgspec.Struct):
    model: str


class Residency:
    """Routes for ``hearth models load`` and ``unload``: ``{"model": NAME}`` is posted, what is then known of the engine
    comes back."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def routes(self) -> Mapping[str, dict[str, Callable[[Request], Awaitable[None]]]]:
        """Path to method to what answers it."""
        return {
            "/hearth/models/load": {"POST": self._load},
            "/hearth/models/unload": {"POST": self._unload},
        }

    async def _load(self, request: Request) -> None:
        name = await _model(request)
        try:
            engine = await _unless_gone(request, self._supervisor.ready(name, _heard_by_nobody))
        except HearthError as error:
            raise _refusal(error) from error
        report = [each for each in self._supervisor.report() if each["model"] == engine.card.name]
        await _answer(request, {"model": name, "engine": report[0] if report else None})

    async def _unload(self, request: Request) -> None:
        name = await _model(request)
        try:
            await _unless_gone(request, self._supervisor.unload(name, _heard_by_nobody))
        except HearthError as error:
            raise _refusal(error) from error
        await _answer(request, {"model": name})


async def _model(request: Request) -> str:
    if not request.trusted:
        raise Refusal(403, "permission_error", "socket_only", "models are loaded over the unix socket only")
    try:
        return msgspec.json.decode(await request.body(), type=_Order).model
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request("invalid_body", f"the request is off: {error}") from error


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do it as long as who ordered it is there. Who left must not stand in line, nor keep others out of a model.
    Raises ClientGone."""
    doing, leaving = asyncio.create_task(work), asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGone
        return doing.result()
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.wait((doing, leaving))


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refusal(error: HearthError) -> Refusal:
    if isinstance(error, ModelUnavailable):
        return Refusal(404, "invalid_request_error", "model_not_found", error.what, fix=error.fix)
    return Refusal(503, "engine_error", "engine_not_available", error.what, fix=error.fix, source="engine")


async def _answer(request: Request, data: dict[str, Any]) -> None:
    await request.answer(200, msgspec.json.encode(data))


def _heard_by_nobody(_progress: LoadProgress) -> None:
    return None
