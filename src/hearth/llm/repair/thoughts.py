"""The words by which models mark their reasoning in the text: patterns, pure data."""

from __future__ import annotations

import re

THINK = re.compile(
    r"<(?P<tag>think|thinking|thought|seed:think)>|\[THINK\]|<\|START_THINKING\|>|◁think▷|<\|channel>thought\b"
)
"""What begins reasoning."""
THOUGHT = re.compile(r"</(?:think|thinking|thought|seed:think)>|\[/THINK\]|<\|END_THINKING\|>|◁/think▷|<channel\|>")
"""What ends it."""
