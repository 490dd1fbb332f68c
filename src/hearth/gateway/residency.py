"""The owner's word on which models are loaded. Over the unix socket only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from hearth.errors import HearthError, ModelUnavailable
from hearth.gateway.asgi import Request
from hearth.gateway.refusal import Refusal, bad_request
from hearth.runtime.engine import LoadProgress
from hearth.runtime.supervisor import Supervisor


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
            engine = await self._supervisor.ready(name, _heard_by_nobody)
        except HearthError as error:
            raise _refusal(error) from error
        report = [each for each in self._supervisor.report() if each["pid"] == engine.pid]
        await _answer(request, {"model": name, "engine": report[0] if report else None})

    async def _unload(self, request: Request) -> None:
        name = await _model(request)
        try:
            await self._supervisor.unload(name, _heard_by_nobody)
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


def _refusal(error: HearthError) -> Refusal:
    if isinstance(error, ModelUnavailable):
        return Refusal(404, "invalid_request_error", "model_not_found", error.what, fix=error.fix)
    return Refusal(503, "engine_error", "engine_not_available", error.what, fix=error.fix, source="engine")


async def _answer(request: Request, data: dict[str, Any]) -> None:
    await request.answer(200, msgspec.json.encode(data))


def _heard_by_nobody(_progress: LoadProgress) -> None:
    return None
