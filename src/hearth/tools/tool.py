"""What a tool is: a name, typed parameters, a description, and one coroutine that never raises for a bad call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from hearth.messages import ToolSpec
from hearth.workspace.sight import Sighting

Params = TypeVar("Params", bound=msgspec.Struct, contravariant=True)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gives back: one part for the model, one for the person.

    ``changed`` names the project files that the tool itself wrote; ``seen`` is what the model knows of files by it, for
    who goes on with the session.
    """

    for_model: str
    for_person: str = ""
    failed: bool = False
    changed: tuple[str, ...] = ()
    seen: tuple[Sighting, ...] = ()


class Tool(Protocol[Params]):
    """One tool. ``run`` MUST NOT raise for what the model or the project did wrong: it returns a failed result.

    ``params`` is the type that ``run`` takes; the toolbox checks a call's arguments against it.
    """

    @property
    def name(self) -> str:
        """The name that the model calls."""
        ...

    @property
    def params(self) -> type[msgspec.Struct]:
        """The type of the parameters."""
        ...

    def label(self, params: Params, /) -> str:
        """The call in a few words for a person, without the tool's name."""
        ...

    async def run(self, params: Params, /) -> ToolResult:
        """Do it. Cancellation must leave no process and no half-written file."""
        ...


def describe_tool(tool: Tool[Any]) -> ToolSpec:
    """What the model is told of a tool: the text of ``NAME.md`` and a schema as small as it can be."""
    text = Path(__file__).with_name(f"{tool.name}.md").read_text(encoding="utf-8").strip()
    return ToolSpec(tool.name, text, _schema(tool.params))


def _schema(params: type[msgspec.Struct]) -> dict[str, Any]:
    whole = msgspec.json.schema(params)
    return _plain(whole["$defs"][params.__name__], whole["$defs"])


def _plain(schema: dict[str, Any], defined: dict[str, Any]) -> dict[str, Any]:
    """The schema without titles, defaults and references: small models and grammars know none of these."""
    if reference := schema.get("$ref"):
        return _plain(defined[reference.rsplit("/", 1)[-1]], defined)
    if schema.get("type") == "object" and "properties" in schema:
        properties = {name: _plain(field, defined) for name, field in schema["properties"].items()}
        return {"type": "object", "properties": properties, "required": schema.get("required", [])}
    kept = {key: value for key, value in schema.items() if key not in ("default", "title")}
    return {**kept, "items": _plain(kept["items"], defined)} if isinstance(kept.get("items"), dict) else kept
