"""Changes of text: pure. Found exactly or by rungs that are certain, never by similarity (docs/edits.md)."""

from hearth.workspace.edits.change import show_change
from hearth.workspace.edits.lines import split_lines
from hearth.workspace.edits.outcome import Edited, Refused, Rung, Splice
from hearth.workspace.edits.replace import replace_text

__all__ = ["Edited", "Refused", "Rung", "Splice", "replace_text", "show_change", "split_lines"]
