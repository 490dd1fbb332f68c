"""Write a conversation as gpt-oss reads it. Pure: a conversation that grew is a prompt that grew, byte for byte.

Reasoning is kept for good (what openai/harmony calls ``auto_drop_analysis=False``): to drop it after an answer, as the
template does, changes what was sent, and costs the engine the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from hearth.llm.dialects.harmony.form import Form, noted_header
from hearth.llm.dialects.harmony.markers import CALL, CHANNEL, END, MESSAGE, START, escape
from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.signature import has_functions, tools_section
from hearth.messages import Message, ToolSpec

CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
COMMENTARY = "Calls to these tools must go to the commentary channel: 'functions'."
OPEN = f"{START}assistant"
"""What a prompt ends with: the answer begins right after it."""
UNSEEN = "[an image, which this model cannot see]"


class Renderer:
    """Writes prompts of one form. The same conversation is always the same bytes."""

    def __init__(self, form: Form, naming: Naming) -> None:
        self._form = form
        self._naming = naming

    def prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """The prompt for the next answer. A system message at the head becomes the developer's instructions."""
        return self.conversation(messages, tools) + OPEN

    def conversation(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """The prompt without the open answer: that of a conversation that goes on begins with it."""
        instructions = messages[0].content if messages and messages[0].role == "system" else ""
        rest = messages[1:] if messages and messages[0].role == "system" else messages
        names: dict[str, str] = {}
        written = [self._system(tools), self._developer(instructions, tools)]
        for message in rest:
            names.update((call.id, self._naming.to_model(call.name)) for call in message.tool_calls)
            written.append(self._message(message, names))
        return "".join(written)

    def answer(self, message: Message) -> str:
        """An assistant's message: analysis, then what it said to the person, then its calls."""
        parts = [_part(f"{CHANNEL}analysis", message.reasoning)] if message.reasoning else []
        if message.content:
            channel = "commentary" if message.tool_calls else "final"
            parts.append(_part(f"{CHANNEL}{channel}", message.content))
        for call in message.tool_calls:
            header = noted_header(call.id, self._form.header)
            parts.append(_part(header.write(self._naming.to_model(call.name)), call.arguments, CALL))
        return "".join(parts) or _part(f"{CHANNEL}final", "")

    def _message(self, message: Message, names: dict[str, str]) -> str:
        match message.role:
            case "assistant":
                return self.answer(message)
            case "tool":
                name = names.get(message.tool_call_id, "functions.unknown")
                text = json.dumps(message.content, ensure_ascii=False) if self._form.quoted_results else message.content
                return f"{START}{name} to=assistant{CHANNEL}commentary{MESSAGE}{escape(text)}{END}"
            case "system":
                return f"{START}developer{MESSAGE}{escape(message.content)}{END}"
            case "user":
                text = "\n".join([message.content, *(UNSEEN for _ in message.images)])
                return f"{START}user{MESSAGE}{escape(text)}{END}"

    def _system(self, tools: Sequence[ToolSpec]) -> str:
        form = self._form
        dates = [f"Knowledge cutoff: {form.cutoff}"] if form.cutoff else []
        dates += [f"Current date: {form.date}"] if form.date else []
        sections = ["\n".join([form.identity, *dates]), f"Reasoning: {form.effort}"]
        if tools and form.tools_in == "system":
            sections.append(tools_section(tools, self._naming))
        sections.append(f"{CHANNELS}\n{COMMENTARY}" if has_functions(tools, self._naming) else CHANNELS)
        return f"{START}system{MESSAGE}{escape(_joined(sections))}{END}"

    def _developer(self, instructions: str, tools: Sequence[ToolSpec]) -> str:
        sections = [f"# Instructions\n\n{instructions}"] if instructions else []
        if tools and self._form.tools_in == "developer":
            sections.append(tools_section(tools, self._naming))
        return f"{START}developer{MESSAGE}{escape(_joined(sections))}{END}" if sections else ""


def _part(header: str, text: str, end: str = END) -> str:
    return f"{OPEN}{header}{MESSAGE}{escape(text)}{end}"


def _joined(sections: Sequence[str]) -> str:
    return "\n\n".join(sections)
