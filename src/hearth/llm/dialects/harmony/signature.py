"""Tools as the model was trained to read them: TypeScript-like types in namespaces. Pure.

The form is that of ``template_tools_section`` and ``json_schema_to_typescript`` in openai/harmony; its order of
namespaces, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.llm.dialects.harmony.naming import FUNCTIONS, Naming
from hearth.messages import ToolSpec

Schema = Mapping[str, Any]
_PLAIN = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def tools_section(tools: Sequence[ToolSpec], naming: Naming) -> str:
    """``# Tools`` with a namespace for each first half of the model's names."""
    spaces: dict[str, list[tuple[str, ToolSpec]]] = {}
    for tool in tools:
        space, _, name = naming.to_model(tool.name).rpartition(".")
        spaces.setdefault(space, []).append((name, tool))
    sections = [_namespace(space, spaces[space]) for space in sorted(spaces)]
    return "\n\n".join(["# Tools", *sections])


def has_functions(tools: Sequence[ToolSpec], naming: Naming) -> bool:
    """Whether some of them are in the namespace ``functions``."""
    return any(naming.to_model(tool.name).startswith(f"{FUNCTIONS}.") for tool in tools)


def _namespace(space: str, tools: Sequence[tuple[str, ToolSpec]]) -> str:
    types = "".join(_type(name, tool) for name, tool in tools)
    return f"## {space}\n\nnamespace {space} {{\n\n{types}}} // namespace {space}"


def _type(name: str, tool: ToolSpec) -> str:
    comment = "".join(f"// {line}\n" for line in tool.description.splitlines())
    if not tool.parameters.get("properties"):
        return f"{comment}type {name} = () => any;\n\n"
    return f"{comment}type {name} = (_: {_object(tool.parameters, '', tool.parameters)}) => any;\n\n"


def _object(schema: Schema, indent: str, root: Schema) -> str:
    required = schema.get("required") or ()
    lines = ["{\n"]
    for name, field in schema.get("properties", {}).items():
        found = _resolve(field, root)
        lines += [f"{indent}// {line}\n" for line in str(found.get("description", "")).splitlines()]
        mark = "" if name in required else "?"
        lines.append(f"{indent}{name}{mark}: {type_of(found, f'{indent}    ', root)},{_default(found)}\n")
    return "".join([*lines, indent, "}"])


def type_of(schema: Schema, indent: str = "", root: Schema | None = None) -> str:
    """A JSON schema as a type; ``any`` for what has none. ``root`` holds ``$defs``."""
    root = schema if root is None else root
    schema = _resolve(schema, root)
    kind = schema.get("type")
    if variants := schema.get("oneOf") or schema.get("anyOf"):
        return " | ".join(dict.fromkeys(type_of(each, indent, root) for each in variants))
    if isinstance(kind, list):
        return " | ".join(_PLAIN.get(str(each), "any") for each in kind)
    if kind == "string" and schema.get("enum"):
        text = " | ".join(f'"{each}"' for each in schema["enum"])
    elif kind == "object":
        text = _object(schema, indent, root) if schema.get("properties") else "object"
    elif kind == "array":
        items = type_of(schema["items"], indent, root) if schema.get("items") else "any"
        text = f"({items})[]" if " | " in items and not items.startswith("{") else f"{items}[]"
    else:
        text = _PLAIN.get(str(kind), "any")
    return f"{text} | null" if schema.get("nullable") else text


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    shown = value if isinstance(value, str) and schema.get("enum") else json.dumps(value, ensure_ascii=False)
    return f" // default: {shown}"


def _resolve(schema: Schema, root: Schema) -> Schema:
    place = schema.get("$ref")
    if not isinstance(place, str):
        return schema
    found = root.get("$defs", {}).get(place.rpartition("/")[2], {})
    return found if isinstance(found, Mapping) else {}
