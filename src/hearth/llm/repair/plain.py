"""The quick look at an answer, before the judge is loaded: whether a call could be in it at all. Pure."""

from __future__ import annotations

MARKS = frozenset("<[{(`~=◁")
"""Each way to write a call, a fence, a control token or reasoning has one of these characters."""


def is_plain(text: str) -> bool:
    """Whether a text is words and nothing else: the judge would say the same of it, whatever tools are offered and
    whether it was cut or not. False says nothing."""
    return MARKS.isdisjoint(text) and not text.isspace() and text != ""
