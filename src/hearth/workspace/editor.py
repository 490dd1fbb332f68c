"""Carries edits out: from a file to its draft, through the gate, back to the disk; all files of a call or none.

What is on the disk must be what was read a moment ago; what the model saw before that decides what it may do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hearth.errors import WorkspaceError
from hearth.workspace.edits.explain import find_hint, find_nearest, show_lines
from hearth.workspace.edits.gate import LARGEST_PARSED, Syntax, check_left_out, check_whole, find_broken
from hearth.workspace.edits.lines import count_lines, split_lines
from hearth.workspace.edits.outcome import Edited, Refused
from hearth.workspace.encoding import Document, digest_of, encode
from hearth.workspace.files import ChangedMeanwhileError, FileWrite, Workspace
from hearth.workspace.sight import Ranges, Seen, Sight, shift_ranges

AROUND = 3
"""Lines above and below a change that are shown with it."""
LARGEST_NAMED = 40_000
"""Characters of a text that is read anew for each line that is to be named."""
MOST_READ = 800
"""Lines that one call of ``read`` gives."""

WITH_ALL = frozenset({"edit", "multi_edit"})
"""Tools that can be told to replace every occurrence."""
OLD = {"apply_patch": "the hunk", "search_replace": "the SEARCH part"}
"""What a tool calls the text that it replaces, if not old."""

Apply = Callable[[str], Edited | Refused]


@dataclass(slots=True)
class Draft:
    """A file as it is to become.

    ``before`` is None for a new file, ``text`` None for one that is to go. ``spans`` are the 1-based lines that
    changed, ``whole`` says that the model wrote the whole text; ``like`` names the file that it was moved from,
    ``origin`` is that file.
    """

    path: str
    before: Document | None
    text: str | None
    spans: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ranges: Ranges = ()
    whole: bool = False
    drops: str = ""
    like: str = ""
    origin: Document | None = None
    stale: bool = False

    @property
    def source(self) -> Document | None:
        """What the text was made from: the file that is there, or the one that was moved."""
        return self.before or self.origin

    @property
    def old_text(self) -> str:
        """The text that it was made from, empty for a new file."""
        return self.source.text if self.source else ""

    def apply(self, apply: Apply) -> Refused | None:
        """Edit the draft; earlier edits stay."""
        text = self.text or ""
        outcome = apply(text)
        if isinstance(outcome, Refused):
            return outcome
        self._shift(text, outcome)
        self.text = outcome.text
        if outcome.note and outcome.note not in self.notes:
            self.notes.append(outcome.note)
        return None

    def _shift(self, text: str, edited: Edited) -> None:
        """Carry the lines that are known along: those below the edit have other numbers now."""
        if not edited.splices:
            return
        first = text.count("\n", 0, edited.splices[0].start) + 1
        last = text.count("\n", 0, max(edited.splices[-1].end - 1, 0)) + 1
        grown = edited.text.count("\n") - text.count("\n")
        self.ranges = shift_ranges(self.ranges, first, last, grown)
        moved = [(low, high) if high < first else (low + grown, high + grown) for low, high in self.spans]
        self.spans = sorted([*moved, *edited.spans])


class Editor:
    """The one way in which tools change files."""

    def __init__(self, workspace: Workspace, sight: Sight | None = None, syntax: Syntax | None = None) -> None:
        """Without ``sight`` nothing is asked of what was seen; without ``syntax`` nothing is parsed."""
        self._workspace = workspace
        self._sight = sight
        self._syntax = syntax
        self._misses: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    @property
    def syntax(self) -> Syntax | None:
        """What is known of languages."""
        return self._syntax

    def open(self, path: str) -> Draft:
        """The draft of a file that is there. Raises WorkspaceError."""
        name = self._workspace.relative(path)
        before = self._workspace.read_document(name)
        seen = self.seen(name)
        same = seen is not None and seen.digest == before.digest
        ranges = seen.ranges if seen and same else ()
        return Draft(name, before, before.text, ranges=ranges, stale=seen is not None and not same)

    def create(self, path: str, text: str, like: str = "") -> Draft:
        """The draft of a file that is not there yet. Raises WorkspaceError if the path leads outside."""
        name = self._workspace.relative(path)
        return Draft(name, None, text, [(1, max(1, count_lines(text)))], whole=True, like=like)

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        return self._workspace.exists(path)

    def relative(self, path: str) -> str:
        """The path as we name it. Raises WorkspaceError if it leads outside."""
        return self._workspace.relative(path)

    def seen(self, name: str) -> Seen | None:
        """What the model saw of a file; None if nothing, or if nobody asks."""
        return self._sight.of(name) if self._sight else None

    def asks_for_sight(self) -> bool:
        """Whether a file must have been seen before it is replaced."""
        return self._sight is not None

    def note_shown(self, draft: Draft, region: tuple[int, int]) -> None:
        """Lines of the file as it is were shown with their numbers, in a refusal say."""
        if self._sight and draft.before and region[0] > 0:
            count = count_lines(draft.old_text)
            self._sight.note_read(draft.path, draft.before.digest, draft.old_text, *region, count)

    def where(self, draft: Draft) -> Callable[[int], str]:
        """Names what a line of the draft is in; of a large file less exactly, because each reading of it takes long."""
        syntax, path, text = self._syntax, draft.path, draft.text or ""
        if syntax is None:
            return lambda _: ""
        if len(text) <= LARGEST_NAMED:
            return lambda line: syntax.enclosing(path, text, line)
        if len(text) > LARGEST_PARSED:
            lines = split_lines(text)
            return lambda line: _name_above(lines, line)
        defined = syntax.list_definitions(path, text)
        return lambda line: next(
            (one.qualified for one in reversed(defined) if one.first_line <= line <= one.last_line), ""
        )

    def save(self, drafts: Sequence[Draft]) -> Refused | None:
        """Check all drafts and write them, or none of them."""
        for draft in drafts:
            if refused := self._check(draft):
                return refused
        try:
            data = [None if one.text is None else encode(one.path, one.text, one.source) for one in drafts]
            writes = [
                FileWrite(one.path, bytes_, one.before.digest if one.before else None, one.like)
                for one, bytes_ in zip(drafts, data, strict=True)
            ]
            # What is written first must not be what was moved away: modes are taken from files that are there.
            self._workspace.write_all(sorted(writes, key=lambda write: write.data is None))
        except ChangedMeanwhileError as error:
            return Refused(f"{error.path} was changed just now, while it was edited: read it again", "stale")
        except WorkspaceError as error:
            return Refused(str(error), "file")
        for draft, written in zip(drafts, data, strict=True):
            self._note(draft, written)
        return None

    def explain(self, draft: Draft, old: str, refused: Refused, tool: str = "edit") -> Refused:
        """The refusal with what helps: the places or the nearest text, and one call to make next."""
        text = draft.text or ""
        path = draft.path
        if refused.kind == "many":
            reason = refused.reason if tool in WITH_ALL else refused.reason.replace(", or set all to true", "")
            next_call = f"next: {tool} with a line above or below in {OLD.get(tool, 'old')}"
            return Refused(reason, "many", f"{refused.detail}\n{next_call}")
        if refused.kind != "missing":
            return refused
        stale = "it was changed since you read it; " if draft.stale else ""
        reason = f"{refused.reason}: {stale}{hint}" if (hint := find_hint(text, old)) else refused.reason
        if stale and not hint:
            reason = f"{refused.reason}: {stale}what you read is no longer there"
        nearest = find_nearest(text, old)
        if nearest is None:
            self._misses[path].append((0, 0))
            count = count_lines(text)
            how = "and its lines are not like old" if count else "and empty"
            advice = f"the file has {count} lines {how}\nnext: read {path}" + (" whole" if count <= MOST_READ else "")
            return Refused(reason, "missing", advice)
        region = (nearest.first, nearest.last)
        before = [one for one in self._misses[path] if one[0] <= region[1] and region[0] <= one[1]]
        self._misses[path].append(region)
        return Refused(reason, "missing", self._advise(draft, nearest.diff, region, len(before), tool), region)

    def _advise(self, draft: Draft, diff: str, region: tuple[int, int], times: int, tool: str) -> str:
        """What is there; another text each time, because the same one has not helped."""
        first, last = region
        text, old = draft.text or "", OLD.get(tool, "old")
        named = f"line {first}" if first == last else f"lines {first}-{last}"
        if times == 0:
            start = max(1, first - AROUND)
            head = f"the nearest text is {named} (+: the file, -: yours):\n{diff}"
            return f"{head}\nnext: read {draft.path} with offset {start} and limit {last - start + 1 + AROUND}"
        lines = split_lines(text)[first - 1 : last]
        if times == 1:
            exact = "\n".join(lines)
            return f"{named} of {draft.path}, exactly:\n{exact}\nnext: {tool} with {old} copied from these, blanks too"
        single = max((line for line in lines if text.count(line.strip()) == 1), key=len, default="")
        if single.strip():
            return f"next: {tool} with {old} of one line that occurs once:\n{single.strip()}"
        return f"{show_lines(text, first, last)}\nnext: bash with grep -n in {draft.path}, then {tool} with fewer lines"

    def _check(self, draft: Draft) -> Refused | None:
        """Whether the draft does what nobody asked for."""
        if draft.text is None or draft.text == draft.old_text:
            return None
        if draft.whole:
            if draft.before and (
                refused := check_whole(self._syntax, draft.path, draft.old_text, draft.text, draft.drops)
            ):
                return refused
        elif refused := check_left_out(
            self._syntax, draft.path, self._changed_lines(draft), draft.old_text, draft.text
        ):
            return refused
        return find_broken(self._syntax, draft.path, draft.old_text, draft.text) if self._syntax else None

    @staticmethod
    def _changed_lines(draft: Draft) -> str:
        lines = (draft.text or "").split("\n")
        return "\n".join(line for first, last in draft.spans for line in lines[first - 1 : last])

    def _note(self, draft: Draft, data: bytes | None) -> None:
        self._misses.pop(draft.path, None)
        if self._sight is None:
            return
        if draft.text is None or data is None:
            self._sight.forget(draft.path)
            return
        old = self.seen(draft.path)
        same = old is not None and draft.before is not None and old.digest == draft.before.digest
        count = count_lines(draft.text)
        shown = [(max(1, first - AROUND), min(count, last + AROUND)) for first, last in draft.spans]
        whole = draft.whole or (old is not None and same and old.whole)
        ranges = [(1, count)] if draft.whole else [*draft.ranges, *shown]
        self._sight.note_written(draft.path, digest_of(data), draft.text, whole, ranges)


def _name_above(lines: Sequence[str], line: int) -> str:
    """The nearest line at the left edge, above or at a line."""
    for above in range(min(line, len(lines)) - 1, -1, -1):
        if lines[above][:1].isalpha() or lines[above][:1] in ("@", "_"):
            return lines[above][:80].rstrip()
    return ""
