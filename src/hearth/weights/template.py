"""What a model's chat template shows of how it is spoken to: its special tokens and a few words, not what they mean."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from hearth.errors import HearthError
from hearth.weights.card import ModelCard
from hearth.weights.gguf import read_gguf

MOST_MARKERS = 64
LONGEST_MARKER = 40
"""Characters."""
# Special tokens: <|im_start|>, <tool_call>, <function=, <｜tool▁calls▁begin｜>, [INST], [gMASK], <<SYS>>.
_TOKEN = re.compile(r"<<SYS>>|</?[^<>\s{}'\"]{1,40}?[=>]|\[/?g?[A-Z][A-Z_]+\]")
# Words by which templates are asked for something, or look whether a message has it.
_WORD = re.compile(
    r"\b(?:tools|tool_calls?|reasoning_content|reasoning_effort|enable_thinking|preserve_thinking"
    r"|truncate_history_thinking|image|image_url)\b"
)
_TOOLS = {"tools", "tool_calls", "tool_call"}
_REASONING = {"reasoning_content", "reasoning_effort", "enable_thinking", "preserve_thinking", "<think>", "<|channel|>"}


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template. ``digest`` are 16 hexadecimal digits of its sha256; ``markers`` its special tokens and telling
    words in the order in which they come first. ``tools`` and ``reasoning`` say whether it speaks of them at all."""

    digest: str
    markers: tuple[str, ...]
    tools: bool
    reasoning: bool


def read_template(text: str) -> Template:
    """What a chat template shows; of the empty one nothing."""
    found = sorted((match.start(), match[0]) for kind in (_TOKEN, _WORD) for match in kind.finditer(text))
    every = dict.fromkeys(marker for _, marker in found if len(marker) <= LONGEST_MARKER)
    digest = hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:16]
    return Template(digest, tuple(every)[:MOST_MARKERS], not _TOOLS.isdisjoint(every), not _REASONING.isdisjoint(every))


class Templates:
    """The templates of models on this disk, each read once from its file: a large header takes a tenth of a second."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], Template | None] = {}

    def of(self, card: ModelCard) -> Template | None:
        """The model's template; None when its file has none, or cannot be read, which whoever loads it is told."""
        key = (str(card.path), card.changed_ns)
        if key not in self._read:
            self._read[key] = _read(card)
        return self._read[key]

    def known(self, card: ModelCard) -> Template | None:
        """The template if it was read before: no file is opened."""
        return self._read.get((str(card.path), card.changed_ns))


def _read(card: ModelCard) -> Template | None:
    try:
        text = read_gguf(card.path).metadata.get("tokenizer.chat_template")
    except HearthError:
        return None
    return read_template(text) if isinstance(text, str) and text else None
