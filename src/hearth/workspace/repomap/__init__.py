"""A map of the project: what is defined where, ranked by who uses it and by the task, within a budget of tokens."""

from __future__ import annotations

from hearth.workspace.repomap.clues import RankedFile
from hearth.workspace.repomap.project import RepoMap

__all__ = ["RankedFile", "RepoMap"]
