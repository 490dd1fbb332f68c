"""The tools of a session and of its sub-agents: with ``assemble`` the only file that names them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hearth.errors import WorkspaceError
from hearth.messages import Message
from hearth.sandbox.background import Background
from hearth.sandbox.command import PlainShell, Shell
from hearth.tools.bash import Bash
from hearth.tools.edit import Edit
from hearth.tools.glob import Glob
from hearth.tools.grep import Grep
from hearth.tools.kill import Kill
from hearth.tools.output import Output
from hearth.tools.outputs import Outputs, Shelf
from hearth.tools.read import Margin, Read
from hearth.tools.report import ReportTool
from hearth.tools.task import Kind, Report, Spawn, Task
from hearth.tools.telling import Report as Telling
from hearth.tools.todo import Todo, find_items
from hearth.tools.tool import Tool
from hearth.tools.toolbox import Toolbox
from hearth.tools.write import Write
from hearth.workspace.editor import Editor
from hearth.workspace.files import Workspace
from hearth.workspace.sight import Sight, Sighting
from hearth.workspace.syntax.reader import SyntaxReader

SUBAGENT_TOOLS: Mapping[Kind, tuple[str, ...]] = {
    "explore": ("read", "grep", "glob"),
    "work": ("read", "edit", "write", "bash", "grep", "glob"),
}
"""What a sub-agent works with, beside ``report``; ``edit`` stands for the form of edits of its model."""
EDITING = frozenset(
    ["edit", "multi_edit", "search_replace", "apply_patch", "replace_lines", "replace_symbol", "hashline"]
)
"""The tools of all forms of edits."""


class Equipment:
    """What the tools of one session share: the project, its commands, the outputs that are kept, the list of what is
    to be done."""

    def __init__(
        self,
        directory: Path,
        shell: Shell,
        bash_timeout_s: float,
        *,
        background: Background | None = None,
        outputs: Outputs | None = None,
        skills: Mapping[str, Path] | None = None,
        said: Iterable[Message] = (),
        seen: Iterable[Sighting] = (),
        telling: Telling = "full",
    ) -> None:
        """``skills`` are the folders of those outside the project; ``said`` is what was said in a session that goes on,
        and ``seen`` what its model has seen of files; ``telling`` is how ``edit`` tells what it did: tersely to the
        pilot, which was trained on those words."""
        self.workspace = Workspace(directory)
        self.outputs = outputs or Outputs()
        self.syntax = SyntaxReader()
        self.todo = Todo(find_items(said))
        self._shell = shell
        self._bash_timeout_s = bash_timeout_s
        self._background = background
        self._shelf = Shelf(self.outputs, skills)
        self._seen = tuple(seen)
        self._telling = telling

    def toolbox(self, names: Sequence[str], spawn: Spawn | None = None) -> Toolbox:
        """The named tools in this order; a name that this version does not know is left out."""
        sight = Sight(self._seen, self._read)
        tools = {tool.name: tool for tool in self._make_tools(names, self._background, sight)}
        tools[self.todo.name] = self.todo
        if spawn:
            tools[Task.name] = Task(spawn)
        return Toolbox([tools[name] for name in names if name in tools], sight)

    def subagent(self, kind: Kind, known: Iterable[str] = ()) -> tuple[Toolbox, ReportTool]:
        """The tools of a sub-agent, which sees the files anew, and the one among them that takes its report. It edits
        with those of the tools that its model is ``known`` to have, else with ``edit``."""
        edits = tuple(name for name in known if name in EDITING) or ("edit",)
        names = [name for each in SUBAGENT_TOOLS[kind] for name in (edits if each == "edit" else (each,))]
        report = ReportTool(self.workspace)
        tools = {tool.name: tool for tool in self._make_tools(names, None, Sight())}
        return Toolbox([*(tools[name] for name in names), report]), report

    def _read(self, path: str) -> tuple[bytes, str] | None:
        try:
            found = self.workspace.read_document(path)
        except WorkspaceError:
            return None
        return found.digest, found.text

    def _make_tools(self, names: Sequence[str], background: Background | None, sight: Sight) -> list[Tool[Any]]:
        cut = self.outputs.cut
        editor = Editor(self.workspace, sight, self.syntax)
        margin: Margin = "anchors" if "hashline" in names else "numbers" if "replace_lines" in names else "none"
        running: list[Tool[Any]] = [Output(background, cut), Kill(background, cut)] if background else []
        return [
            Read(self.workspace, sight, margin, self._shelf, self.outputs.limit),
            Write(editor),
            Edit(editor, self._telling),
            *(tool for name in names if (tool := _make_editing(name, editor))),
            Bash(self._shell, self._bash_timeout_s, background, cut, names),
            *running,
            Grep(self.workspace, self.outputs.limit, self._shelf),
            Glob(self.workspace, self.outputs.limit),
        ]


def _make_editing(name: str, editor: Editor) -> Tool[Any] | None:
    """The tool of one of the rarer forms of edits; None for any other name."""
    match name:
        case "multi_edit":
            from hearth.tools.multi_edit import MultiEdit

            return MultiEdit(editor)
        case "search_replace":
            from hearth.tools.search_replace import SearchReplace

            return SearchReplace(editor)
        case "apply_patch":
            from hearth.tools.apply_patch import ApplyPatch

            return ApplyPatch(editor)
        case "replace_lines":
            from hearth.tools.replace_lines import ReplaceLines

            return ReplaceLines(editor)
        case "replace_symbol":
            from hearth.tools.replace_symbol import ReplaceSymbol

            return ReplaceSymbol(editor)
        case "hashline":
            from hearth.tools.hashline import Hashline

            return Hashline(editor)
    return None


def make_toolbox(names: Sequence[str], directory: Path, telling: Telling = "full") -> Toolbox:
    """Tools for a folder without a session around them, to be described or tried: commands get an empty environment and
    two minutes, and there are no sub-agents to run."""
    shell = PlainShell(directory, {"PATH": os.defpath})
    equipment = Equipment(directory, shell, 120.0, background=Background(shell), telling=telling)
    return equipment.toolbox(names, spawn_nobody)


async def spawn_nobody(_goal: str, _kind: Kind) -> Report:
    """Runs no sub-agent, and says so."""
    return Report("failed", "there are no sub-agents here")
