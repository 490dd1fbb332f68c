"""What we know of a model: which prompt, tools, form of edits and sampling make it work. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from hearth.errors import SettingsError
from hearth.llm.families import (
    Dialect,
    EditFormat,
    Knowledge,
    Place,
    Tier,
    find_family,
    knowledge,
    plain_name,
    settle,
)
from hearth.messages import ToolSpec
from hearth.settings import ProfileSettings

__all__ = [
    "PILOT",
    "Dialect",
    "EditFormat",
    "Limits",
    "Profile",
    "Tier",
    "limits",
    "profile_for",
    "with_names",
    "worded",
]

SMALL_CONTEXT = 8192
"""Tokens of a window up to which the prompt is minimal."""
MIDDLE_CONTEXT = 32_768
"""Tokens of a window below which it is not full."""
ASSUMED_CONTEXT = 16_384
"""Tokens of a window that nobody has told."""
SMALLEST_ANSWER = 256
"""Tokens that an answer may have in the smallest window; elsewhere a quarter of it."""
MINIMAL_OPTIONAL = {"read": ("offset",)}
"""Parameters that even a minimal prompt tells: without it a small window never sees the end of a file."""
SPEAKS_OF_TOOLS = re.compile(r"\btools\b|\btool_calls?\b")
"""What a chat template that knows tools holds."""
WITHOUT_TOOLS: Mapping[str, Any] = {
    "dialect": "text",
    "edit": "search_replace",
    "parallel": False,
}
"""What is otherwise with a model whose template knows none."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How to talk to one model. ``name`` is its family's.

    ``system`` is the frozen system text; ``tools`` names the tools in prompt order; ``facts`` says whether the
    session's facts (folder, date, git status, AGENTS.md) follow the system text; ``sampling`` goes into every
    request, because server defaults are not the vendor's; ``max_tokens`` bounds one answer.

    ``dialect`` is what is spoken: OpenAI chat (the server has the parser), Harmony over raw completion, or plain text
    with fenced calls for models without tools. ``tools_in`` is where the tools go: the model's own template puts them
    in place, or our renderer writes them into the system message. ``tier`` is how much the system text and tools may
    weigh, ``edit`` in which form the model writes changes, ``echo`` whether its reasoning goes back to it, ``names``
    what it calls our tools (ours to its own), ``parallel`` whether it may make several calls in one step, ``thinking``
    how many tokens it may think in one answer (0: no bound), ``effort`` how hard, for who knows degrees. ``work``,
    ``mask`` and ``compact`` are shares of the real window: what a session should hold, where old observations are
    masked, where it is compacted; ``work_most`` and ``compact_most`` bound them in tokens (0: no bound), see
    ``limits``. ``calibrated`` says that something of it was measured with this very model.
    """

    name: str
    system: str
    tools: tuple[str, ...]
    facts: bool = True
    sampling: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 8192
    dialect: Dialect = "chat"
    tools_in: Place = "template"
    tier: Tier = "standard"
    edit: EditFormat = "replace"
    echo: bool = True
    names: dict[str, str] = field(default_factory=dict)
    parallel: bool = True
    thinking: int = 0
    effort: Literal["", "low", "medium", "high"] = ""
    work: float = 0.35
    mask: float = 0.6
    compact: float = 0.75
    work_most: int = 24_000
    compact_most: int = 40_000
    calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens of one window: what a session should hold, where old observations are masked, where it is compacted."""

    work: int
    mask: int
    compact: int


PILOT = Profile(
    name="pilot",
    system="You are the pilot, a tiny coding agent. You answer with one tool call at a time.",
    tools=("bash", "edit", "grep", "read"),
    facts=False,
    sampling={"temperature": 0.0},
    max_tokens=512,
)
"""The model in the package. Its training sessions are rendered from this very record: change it, and retrain."""


def profile_for(
    model: str,
    template: str = "",
    context: int = 0,
    own: Mapping[str, ProfileSettings] | None = None,
    measured: Mapping[str, Any] | None = None,
    raw: bool = True,
) -> Profile:
    """The profile of a model.

    ``template`` is its chat template, or the markers that a gateway found in it, empty where nobody knows;
    ``context`` the tokens of its window, 0 likewise. ``measured`` are the fields that a calibration found
    (``calibration.verdict``), ``own`` what the owner says of families and of models, by their names: a model's table
    counts before its family's, and may name another ``family``. Whoever comes later wins: package, template,
    calibration, owner. A small window bounds tier and answers whoever says them. Without ``raw`` the endpoint completes
    no raw prompts: who would speak Harmony speaks chat there.
    """
    if plain_name(model) == PILOT.name:
        return PILOT
    known, tables = knowledge(), own or {}
    family = (model in tables and tables[model].family) or find_family(model, template, known)
    if family not in known.families:
        raise SettingsError(
            f"profiles.{model}.family = {family!r}: there is no such family", f"there are: {', '.join(known.families)}"
        )
    fields = settle(family, model, known)
    if template and fields["dialect"] == "chat" and not SPEAKS_OF_TOOLS.search(template):
        fields.update(WITHOUT_TOOLS)
    fields.update(measured or {})
    for name in dict.fromkeys((family, model)):
        _lay_over(fields, tables.get(name, ProfileSettings()))
    if fields["dialect"] == "harmony" and not raw:
        fields["dialect"] = "chat"
    fields["tools_in"] = "template" if fields["dialect"] == "chat" else "system"
    if fields["dialect"] != "harmony":
        # Names with a namespace are Harmony's own; elsewhere a tool is called as its schema says.
        fields["names"] = {}
    return _make(family, fields, context, known, calibrated=bool(measured))


def limits(profile: Profile, context: int) -> Limits:
    """The limits in tokens for a window of ``context`` tokens; 0 is one that nobody has told."""
    window = context or ASSUMED_CONTEXT
    compact = _bounded(profile.compact, window, profile.compact_most)
    mask = min(int(profile.mask * window), int(compact * profile.mask / profile.compact))
    work = min(_bounded(profile.work, window, profile.work_most), mask)
    return Limits(work, mask, compact)


def worded(spec: ToolSpec, profile: Profile) -> ToolSpec:
    """What a model of this profile is told of a tool: in a minimal prompt one sentence, and the parameters without
    which there is no call. The tool takes the others all the same. The pilot is told what it was trained on."""
    if profile.tier != "minimal":
        return spec
    first = re.split(r"(?<=[.;])\s", spec.description, maxsplit=1)[0].rstrip(";.") + "."
    brief = knowledge().brief.get(spec.name, first)
    told = (*spec.parameters.get("required", ()), *MINIMAL_OPTIONAL.get(spec.name, ()))
    properties = {name: field for name, field in spec.parameters.get("properties", {}).items() if name in told}
    return ToolSpec(spec.name, brief, {**spec.parameters, "properties": properties})


def with_names(text: str, names: Mapping[str, str]) -> str:
    """The text in which each name of a tool in braces became what the model calls it."""
    return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[1]), text)


def _make(family: str, fields: dict[str, Any], context: int, known: Knowledge, *, calibrated: bool) -> Profile:
    tier = _tier(fields["tier"], context)
    answer = min(fields["max_tokens"], max(context // 4, SMALLEST_ANSWER)) if context else fields["max_tokens"]
    edit = (tier == "minimal" and known.edits[fields["edit"]].minimal) or fields["edit"]
    editing = known.edits[edit]
    for_edits = editing.as_text if fields["dialect"] == "text" and editing.as_text else editing.tools
    read, write, *others = known.tools[tier]
    whole = {
        **fields,
        "tier": tier,
        "edit": edit,
        "max_tokens": answer,
        "thinking": min(fields["thinking"], answer // 2),
    }
    return Profile(
        name=family,
        system=_system_text(tier, editing.text, fields["names"]),
        tools=(read, write, *for_edits, *others),
        calibrated=calibrated,
        **whole,
    )


def _lay_over(fields: dict[str, Any], said: ProfileSettings) -> None:
    """What the owner says, over what is known."""
    told = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
    fields["sampling"] = {name: told.pop(name, value) for name, value in fields["sampling"].items()}
    fields.update({name: value for name, value in told.items() if name != "family"})


def _tier(wanted: Tier, context: int) -> Tier:
    if 0 < context <= SMALL_CONTEXT:
        return "minimal"
    return "standard" if wanted == "full" and 0 < context < MIDDLE_CONTEXT else wanted


def _bounded(share: float, window: int, most: int) -> int:
    return min(int(share * window), most) if most else int(share * window)


def _system_text(tier: Tier, editing: str, names: Mapping[str, str]) -> str:
    return with_names(_prompt(tier).replace("{editing}", editing), names)


@cache
def _prompt(tier: Tier) -> str:
    return Path(__file__).with_name("prompts").joinpath(f"{tier}.md").read_text(encoding="utf-8").strip()
