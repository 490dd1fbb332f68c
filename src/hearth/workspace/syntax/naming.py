"""The name that a definition's node gives to it, language by language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function", "function_definition"})
_DEEPEST = 20
_LONGEST = 2_000


def name_of(language: str, kind: str, node: Node) -> tuple[str, str] | None:
    """The name, parts joined by ``.``, and the kind, which may be more exact than the query's; None if it has none."""
    match kind:
        case "default":
            return "default", "class" if node.type == "class" else "function"
        case "impl":
            return _name_impl(node)
        case "rule":
            return _squeeze(_text(node).partition("{")[0]), kind
        case "table":
            return _squeeze(_text(node).partition("]")[0].strip("[ ")), kind
        case "key":
            return _squeeze(_field(node, "key")).strip("'\""), kind
        case "variable":
            return _name_variable(node)
        case "method" if language == "go":
            receiver = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*\)$", _field(node, "receiver"))
            name = _field(node, "name")
            return f"{receiver.group(1)}.{name}" if receiver else name, kind
        case "function" if node.type in ("assignment_expression", "assignment_statement"):
            return _name_assigned(node), kind
        case "test":
            return _squeeze(_text(node).partition("{")[0]), kind
        case "typedef":
            return _declared(node), kind
        case "class" if language in ("swift", "kotlin"):
            return _name_any(node), _keyword(node)
        case "constructor" if language == "swift":
            return "init", kind
        case "object" if node.type == "companion_object":
            return _name_any(node) or "Companion", kind
    return _name_any(node), kind


def _name_any(node: Node) -> str:
    for field in ("name", "left"):
        if text := _field(node, field):
            return _join(text)
    if node.child_by_field_name("declarator") is not None:
        return _declared(node)
    for child in node.named_children:
        if child.type.endswith(("identifier", "name", "constant")):
            return _join(_text(child))
    return ""


def _declared(node: Node) -> str:
    """The name inside the declarators of C and C++: ``*f(int)`` declares f, ``A::f`` f of A."""
    inner: Node | None = node
    for _ in range(_DEEPEST):
        following = inner.child_by_field_name("declarator") if inner is not None else None
        if following is None:
            break
        inner = following
    if inner is None or inner == node:
        return ""
    if inner.type.endswith(("_declarator", "_declaration")):
        # A reference has its declarator without a field.
        inner = next((child for child in inner.named_children if not child.type.endswith("_list")), inner)
        if inner.child_by_field_name("declarator") is not None:
            return _declared(inner)
    return _join(re.sub(r"<.*>(?=$|::)", "", _text(inner), flags=re.DOTALL))


def _name_variable(node: Node) -> tuple[str, str]:
    value = node.child_by_field_name("value") or node.child_by_field_name("right")
    kind = "variable"
    if value is not None and value.type in _FUNCTIONS:
        kind = "function"
    elif value is not None and value.type in ("class", "struct_declaration", "enum_declaration", "union_declaration"):
        kind = value.type.partition("_")[0]
    name = _field(node, "left") or _name_any(node)
    if not name:
        # Kotlin and Swift keep the name one node deeper; Zig's value has no field.
        inner = next(
            (child for child in node.named_children if child.type in ("variable_declaration", "pattern")), None
        )
        name = _text(inner) if inner is not None else ""
    last = node.named_children[-1] if node.named_children else None
    if last is not None and last.type in ("struct_declaration", "enum_declaration", "union_declaration"):
        kind = last.type.partition("_")[0]
    return (name if re.fullmatch(r"[\w$.#@]+", name) else ""), kind


def _name_assigned(node: Node) -> str:
    """``module.exports.f = …`` defines f, ``A.prototype.f = …`` f of A."""
    left = _field(node, "left")
    if not left:
        first = node.named_children[0] if node.named_children else None
        left = _text(first) if first is not None else ""
    left = re.sub(r"^(module\.)?exports\.", "", left).replace(".prototype.", ".")
    left = "default" if left == "module.exports" else left
    return _join(left) if re.fullmatch(r"[\w$.:#]+", left) else ""


def _name_impl(node: Node) -> tuple[str, str]:
    type_name = re.sub(r"<.*", "", _field(node, "type"), flags=re.DOTALL).strip("& ")
    trait = _field(node, "trait")
    own = type_name.rpartition("::")[2]
    return _squeeze(f"impl {trait} for {own}" if trait else f"impl {own}"), "impl"


def _keyword(node: Node) -> str:
    """What the language itself calls it: class, struct, enum, interface, actor, extension."""
    words = ("class", "struct", "enum", "interface", "actor", "extension")
    return next((child.type for child in node.children if child.type in words), "class")


def _field(node: Node, field: str) -> str:
    found = node.child_by_field_name(field)
    return _text(found) if found is not None else ""


def _text(node: Node) -> str:
    return (node.text or b"")[:_LONGEST].decode("utf-8", "replace")


def _join(name: str) -> str:
    return re.sub(r"\s*(::|:)\s*", ".", _squeeze(name)).strip(".")


def _squeeze(text: str) -> str:
    return " ".join(text.split())
