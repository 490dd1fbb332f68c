"""Which of several ways of writing the format is taken, and how one call's header was written. Pure data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hearth.llm.dialects.harmony.markers import CHANNEL

Effort = Literal["low", "medium", "high"]
Place = Literal["system", "developer"]
Channel = Literal["analysis", "commentary", "final"]

KINDS = (" <|constrain|>json", "<|constrain|>json", " json", "", " code", " <|constrain|>code")
"""How the type of a call's content is written, the usual first: its place is its number."""
_LETTERS = {"c": "commentary", "a": "analysis", "n": ""}
_NOTE = re.compile(r"_([can])([cr])([0-9])\Z")


@dataclass(frozen=True, slots=True)
class Header:
    """How a call's header is written: its ``channel``, whether the recipient stands after the role or after the
    channel, and the type as in ``KINDS``."""

    channel: str = "commentary"
    after_role: bool = False
    kind: str = KINDS[0]

    def write(self, recipient: str) -> str:
        """What stands between ``<|start|>assistant`` and ``<|message|>``."""
        to = f" to={recipient}"
        channel = f"{CHANNEL}{self.channel}" if self.channel else ""
        return f"{to}{channel}{self.kind}" if self.after_role else f"{channel}{to}{self.kind}"

    def note(self) -> str:
        """The header as the end of a call's id, empty for the usual one: so the next prompt has it as the model wrote
        it, and the engine finds its own words again. Only for headers that ``write`` gives back."""
        if self == Header():
            return ""
        letter = next(letter for letter, channel in _LETTERS.items() if channel == self.channel)
        return f"_{letter}{'r' if self.after_role else 'c'}{KINDS.index(self.kind)}"


def noted_header(call_id: str, usual: Header) -> Header:
    """The header that an id keeps, else the usual one."""
    found = _NOTE.search(call_id)
    if found is None or int(found[3]) >= len(KINDS):
        return usual
    return Header(_LETTERS[found[1]], found[2] == "r", KINDS[int(found[3])])


@dataclass(frozen=True, slots=True)
class Form:
    """How prompts are written. ``tools_in`` says in which message the tools are: in the system message they are called
    far more reliably (arXiv 2604.00362), OpenAI's cookbook and llama.cpp's template have them in the developer message.
    ``date`` is written when it is given: it must not change within a session. ``quoted_results`` writes results of
    tools as JSON strings, as the template does."""

    tools_in: Place = "system"
    effort: Effort = "medium"
    identity: str = "You are ChatGPT, a large language model trained by OpenAI."
    cutoff: str = "2024-06"
    date: str = ""
    header: Header = Header()
    quoted_results: bool = False


def template_form(effort: Effort = "medium", date: str = "") -> Form:
    """As the chat template of gpt-oss writes it, which llama.cpp carries out: for comparison."""
    header = Header("commentary", after_role=True, kind=" json")
    return Form("developer", effort, date=date, header=header, quoted_results=True)
