"""What is said about a circle: to the model in a result, to the model that begins afresh, to the person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hearth.agent.guard.acts import Act
from hearth.agent.guard.detectors import Finding
from hearth.agent.guard.testruns import Verdict

MOST_NAMED = 5
LONGEST_TASK = 400
LONGEST_NAME = 100

_OTHER = {
    "read": "use what it says, or read other lines or another file",
    "grep": "search for a shorter piece of it, or read one of the files",
    "glob": "read one of the files, or search in them with grep",
    "todo": "do the next open item",
    "output": "wait longer with wait, or do something else meanwhile",
    "kill": "go on without it",
    "report": "call it with a summary of one sentence",
}


def suggest_other(act: Act) -> str:
    """One other thing to do than this call."""
    if act.nature == "waits" and act.name == "bash":
        return "wait longer at once with sleep, or look for the cause: is it running, and what does its log say"
    if act.name == "bash":
        return "change what the first error names, then run it again" if act.failed else "go on with what it says"
    if act.name in _OTHER:
        return _OTHER[act.name]
    if act.failed:
        return f"read {act.path or 'the file'} again around that place, and copy the lines exactly as they are now"
    return "run the tests, or go on with the next part of the task"


def make_hint(finding: Finding, second: bool) -> str:
    """One or two sentences for the end of a tool's result; the ``second`` ones are in other words."""
    act, count, other = finding.act, finding.count, suggest_other(finding.act)
    match finding.kind:
        case "repeat" | "again":
            said = f"{act.brief!r} has now given this same result {count} times"
            said += "" if act.nature == "waits" else "; it will not change by asking again"
        case "cycle":
            said = f"the same calls in turn ({finding.what}) have given the same results {count} times over"
        case "error":
            said = f"{act.brief!r} has failed {count} times and nothing was changed between"
        case "tests":
            said = f"after {count} changes the very same tests fail: {finding.what}"
            other = "read the failing test and the first error again, and look for the cause in another place"
        case "patch":
            said = f"{finding.what} is again what it was before: it went to and fro between the same contents"
            other = "decide for one of them by running the tests, or change something else"
        case "looking":
            said = f"{count} calls have only looked since the last change"
            other = "make the smallest change that could be right, and check it; or say what is missing"
        case "stale":
            said = f"{count} calls have shown only what was seen before"
            other = "look at something new, or answer with what you have"
        case _:
            said = f"the same happened {count} times"
    if second:
        return f"[Again: {said}. Do something that you have not tried yet: {other}. If nothing is left to do, say so.]"
    return f"[Note: {said}. Instead: {other}.]"


def make_note(task: str, acts: Sequence[Act], finding: Finding, rolled_back: bool) -> str:
    """Five lines for a model that begins afresh: asked, tried, failed, files, what not to do again."""
    changed = list(dict.fromkeys(path for act in acts for path, _ in act.changed))
    state = "all were put back to how they were before this task" if rolled_back else "the changes are still there"
    files = f"{_join(changed)}; {state}" if changed else "none was changed"
    return "\n".join(
        [
            f"Asked: {_cut(task, LONGEST_TASK)}",
            f"Tried: {tell_tries(acts) or 'nothing'}",
            f"Failed: {tell_circle(finding)}{_tell_failing(acts, '; still failing: ')}",
            f"Files: {files}",
            f"Do not do again: {_avoid(finding)}. Instead: {_start_over(finding)}.",
        ]
    )


def make_report(acts: Sequence[Act], finding: Finding, hints: int, restarted: bool, rolled_back: bool) -> str:
    """For the person, in one line: what went round, what was tried about it, what still fails, what is in the files."""
    tried = [*_tell_hints(hints), *(["a fresh start"] if restarted else []), "a new try at a higher temperature"]
    changed = list(dict.fromkeys(path for act in acts for path, _ in act.changed))
    parts = [_tell_vain(finding, tried)]
    parts += [f"done: {tell_tries(acts)}"] if acts else []
    if failing := _tell_failing(acts, "still failing: "):
        parts.append(failing)
    if rolled_back:
        parts.append("the changes before the fresh start were taken back")
    parts.append(f"changed files: {_join(changed)}" if changed else "no file was changed")
    parts.append("say which file or cause to look at, or give it a smaller task")
    return "; ".join(parts)


def make_short_report(finding: Finding, hints: int) -> str:
    """What went round where only hints are tried."""
    return _tell_vain(finding, _tell_hints(hints))


def _tell_hints(hints: int) -> list[str]:
    return [f"{hints} hint{'s' if hints > 1 else ''}"] if hints else []


def _tell_vain(finding: Finding, tried: Sequence[str]) -> str:
    said = f"it went round in circles: {tell_circle(finding)}"
    return f"{said}; {_and(tried)} did not help" if tried else said


def tell_circle(finding: Finding) -> str:
    """What went round, and how often."""
    act, count = finding.act, finding.count
    match finding.kind:
        case "repeat" | "again":
            return f"{act.brief!r} gave the same result {count} times"
        case "cycle":
            return f"{finding.what} gave the same results {count} times over"
        case "error":
            return f"{act.brief!r} failed {count} times"
        case "tests":
            return f"{count} changes left the same tests failing"
        case "patch":
            return f"{finding.what} went to and fro between the same contents {count} times"
        case "looking":
            return f"{count} calls only looked, and nothing was changed"
        case "stale":
            return f"{count} calls showed only what it had seen before"
        case "overflow":
            return f"the conversation did not fit the model's window {count} times"
        case "rest":
            return f"the model ended its turn {count} times with {finding.what}"


def tell_tries(acts: Sequence[Act]) -> str:
    """The calls that were made most, with how often."""
    most = Counter(act.brief for act in acts).most_common(MOST_NAMED)
    left = len({act.brief for act in acts}) - len(most)
    told = [brief if count == 1 else f"{brief} ({count} times)" for brief, count in most]
    return ", ".join(told) + (f" and {left} other calls" if left > 0 else "")


def _tell_failing(acts: Sequence[Act], lead: str) -> str:
    last: Verdict | None = next((act.tests for act in reversed(acts) if act.tests), None)
    return f"{lead}{_join(sorted(last.failing))}" if last and last.failing else ""


def _avoid(finding: Finding) -> str:
    match finding.kind:
        case "tests":
            return f"more changes of the same kind to {_join([path for path, _ in finding.act.changed]) or 'that file'}"
        case "patch":
            return f"going to and fro between two versions of {finding.what}"
        case "cycle":
            return finding.what
        case "looking":
            return "looking at everything before the first change"
        case _:
            return f"{finding.act.brief} more than once"


def _start_over(finding: Finding) -> str:
    if finding.kind == "tests":
        return "read the failing test first, and look for the cause in another place"
    if finding.kind == "looking":
        return "make the smallest change that could be right, and check it"
    return suggest_other(finding.act) if finding.act.failed else "act on the first result of a call"


def _join(names: Sequence[str]) -> str:
    shown = ", ".join(_cut(name, LONGEST_NAME) for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
