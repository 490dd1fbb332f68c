"""``hearth sessions``: what was said and done, and back to before it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hearth.agent.costs import costs_of_records
from hearth.agent.export import to_json, to_markdown
from hearth.agent.export_html import to_html
from hearth.agent.pruning import prune_snapshots
from hearth.agent.rewind import Rewound, open_snapshots, redo, snapshot_folder, tell_finished, undo
from hearth.agent.sessions import (
    Outline,
    PastSession,
    delete_session,
    fork_session,
    list_sessions,
    make_title,
    read_session,
    search_sessions,
)
from hearth.agent.transcript import find_session, latest_session, open_transcript
from hearth.cli.models.text import count_text, memory_text, table
from hearth.cli.plain import printable
from hearth.errors import StateError, UsageError
from hearth.paths import Paths, resolve_paths
from hearth.settings import load_settings
from hearth.workspace.atomic import write_file

FORMATS: Mapping[str, Callable[[PastSession], str]] = {"md": to_markdown, "html": to_html, "json": to_json}
MOST_NAMED = 20
"""Paths that are named one by one."""

EPILOG = """\
ID is a session's id or the start of it; without one the latest session of this folder is meant (-C names another).
undo and redo take the files back and forth with the conversation, also what commands changed. Files that somebody else
changed since are named and nothing is done; --force overwrites them. Exit code 1 when nothing could be done, or files
had to be left as they are: these are named, with --json under "conflicts" and "left".
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verbs."""
    parser = subparsers.add_parser(
        "sessions",
        help="what was said and done, and back to before it",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = verbs.add_parser("list", help="the sessions of this folder, last used first")
    shown = verbs.add_parser("show", help="one session, turn by turn")
    weighed = verbs.add_parser("context", help="what each part of one takes of the model's window")
    exported = verbs.add_parser("export", help="write one as a document")
    exported.add_argument("--format", choices=tuple(FORMATS), help="default: by the name of FILE, else md")
    exported.add_argument("-o", dest="file", metavar="FILE", help="write here (default: standard output)")
    searched = verbs.add_parser("search", help="the sessions in which all these words were said")
    searched.add_argument("words", nargs="+", metavar="WORD")
    undone = verbs.add_parser("undo", help="take the last turn back, its files and its words")
    undone.add_argument("--turns", type=int, default=1, metavar="N", help="so many turns")
    undone.add_argument("--keep-files", action="store_true", help="the conversation alone")
    redone = verbs.add_parser("redo", help="bring back what was undone last")
    forked = verbs.add_parser("fork", help="begin a session that goes on from a turn of this one")
    forked.add_argument("--turn", type=int, metavar="N", help="the last turn to take over (default: all; 0 for none)")
    deleted = verbs.add_parser("delete", help="remove sessions for good")
    deleted.add_argument("ids", nargs="+", metavar="ID")
    deleted.add_argument("--yes", action="store_true", help="without asking")
    pruned = verbs.add_parser("prune", help="drop the snapshots that no session needs, and the oldest beyond a size")
    pruned.add_argument("--to", type=float, metavar="GIB", help="so many GiB may stay (default: undo.quota_gib)")
    for verb in (shown, weighed, exported, undone, redone, forked):
        verb.add_argument("id", nargs="?", default="", metavar="ID")
    for verb in (undone, redone):
        verb.add_argument("--force", action="store_true", help="overwrite what somebody else changed since")
        verb.add_argument("--dry-run", action="store_true", help="only say what would be done")
    for verb in (listed, searched):
        verb.add_argument("--all", action="store_true", help="those of all folders")
    for verb in (listed, shown, weighed, exported, searched, undone, redone, forked):
        verb.add_argument("-C", dest="directory", metavar="DIR", help="the project folder (default: this one)")
    for verb in (listed, shown, weighed, searched, undone, redone, forked, deleted, pruned):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    paths = resolve_paths(os.environ)
    verbs: dict[str, Callable[[argparse.Namespace, Paths], int]] = {
        "list": _list,
        "show": _show,
        "context": _context,
        "export": _export,
        "search": _search,
        "undo": _rewind,
        "redo": _rewind,
        "fork": _fork,
        "delete": _delete,
        "prune": _prune,
    }
    return verbs[args.verb](args, paths)


def _list(args: argparse.Namespace, paths: Paths) -> int:
    outlines = list_sessions(paths.sessions, None if args.all else _folder(args))
    if args.json:
        return _print_json([_outline_json(outline) for outline in outlines])
    rows = [
        (outline.id, _time(outline.used), count_text(outline.turns, "turn"), _where(outline, args.all), outline.title)
        for outline in outlines
    ]
    for line in table(rows, right=frozenset({2})):
        print(line)
    if not rows:
        print("no session was held here yet" if not args.all else "no session was held yet", file=sys.stderr)
    return 0


def _where(outline: Outline, everywhere: bool) -> str:
    return printable(outline.directory if everywhere else outline.model)


def _show(args: argparse.Namespace, paths: Paths) -> int:
    session = _read(args, paths)
    turns = session.past.turns
    if args.json:
        return _print_json(
            {
                "session": session.id,
                "title": session.title,
                "created": session.created,
                "directory": session.frame.directory,
                "model": session.frame.model,
                "forked_from": session.forked_from,
                "undone": sum(len(undone.turns) for undone in session.past.undone),
                "turns": [
                    {
                        "number": number,
                        "prompt": turn.prompt,
                        "status": turn.status,
                        "calls": sum(len(said.message.tool_calls) for said in turn.said),
                        "changed": sorted({path for said in turn.said for path in said.changed}),
                        "files": bool(turn.begin),
                    }
                    for number, turn in enumerate(turns, 1)
                ],
            }
        )
    print(f"{session.id}  {session.title}")
    print(printable(f"{session.frame.model} in {session.frame.directory}, begun {session.created}"))
    if session.forked_from:
        print(f"forked from {session.forked_from}")
    rows = [
        (
            str(number),
            turn.status or "cut off",
            count_text(sum(len(said.message.tool_calls) for said in turn.said), "call"),
            make_title(turn.prompt),
        )
        for number, turn in enumerate(turns, 1)
    ]
    for line in table(rows, right=frozenset({0, 2})):
        print(line)
    if session.past.undone:
        print("hearth sessions redo brings back what was undone", file=sys.stderr)
    return 0


def _context(args: argparse.Namespace, paths: Paths) -> int:
    session = _read(args, paths)
    costs = costs_of_records(session.frame, session.records)
    if args.json:
        return _print_json(costs.to_json())
    about = "" if costs.exact else "about "
    speed = f", read at {costs.speed:,.0f} tokens/s" if costs.speed else ""
    print(f"{session.id}  {session.title}")
    print(f"{printable(costs.model)}: {about}{count_text(costs.total, 'token')}{speed}")
    rows = [
        (item.name, f"{item.tokens:,}", f"{item.share:.0%}", f"{item.seconds:.1f} s" if costs.speed else "")
        for item in costs.items
        if item.tokens
    ]
    for line in table(rows, right=frozenset({1, 2, 3})):
        print(line)
    return 0


def _export(args: argparse.Namespace, paths: Paths) -> int:
    kind = args.format or (Path(args.file).suffix.lstrip(".").lower() if args.file else "md")
    kind = {"markdown": "md", "htm": "html"}.get(kind, kind)
    if kind not in FORMATS:
        raise UsageError(f"{args.file}: its name does not say the format", "add --format md, html or json")
    data = FORMATS[kind](_read(args, paths)).encode()
    if args.file is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    try:
        # A session may hold what only its owner should see.
        write_file(Path(args.file), data, 0o600)
    except OSError as error:
        raise StateError(f"cannot write {args.file}: {error.strerror}", "name another file with -o") from error
    print(f"wrote {args.file}", file=sys.stderr)
    return 0


def _search(args: argparse.Namespace, paths: Paths) -> int:
    hits = search_sessions(paths.sessions, " ".join(args.words), None if args.all else _folder(args))
    if args.json:
        rows = [
            {**_outline_json(hit.outline), "turn": hit.turn, "role": hit.role, "snippet": hit.snippet} for hit in hits
        ]
        _print_json(rows)
        return 0 if rows else 1
    found = 0
    for hit in hits:
        found += 1
        print(f"{hit.outline.id}  {hit.outline.title}")
        print(f"    turn {hit.turn}, {hit.role}: {hit.snippet}")
    if not found:
        print("no session has all these words", file=sys.stderr)
    return 0 if found else 1


def _rewind(args: argparse.Namespace, paths: Paths) -> int:
    transcript = open_transcript(paths.sessions, args.id or latest_session(paths.sessions, _folder(args)))
    try:
        wishes = load_settings(paths.config_file, os.environ).undo
        snapshots = open_snapshots(paths, Path(transcript.frame.directory), wishes)
        if args.verb == "undo":
            done = undo(
                transcript, snapshots, args.turns, force=args.force, files=not args.keep_files, dry=args.dry_run
            )
        else:
            done = redo(transcript, snapshots, force=args.force, dry=args.dry_run)
        session = transcript.frame.session
    finally:
        transcript.close()
    return _tell_rewound(args, done, session)


def _tell_rewound(args: argparse.Namespace, done: Rewound, session: str) -> int:
    # What had to be left was asked for and is not done: a script must not take that for an undo.
    code = 1 if done.conflicts or done.given_up or done.left else 0
    if args.json:
        _print_json(
            {
                "session": session,
                "kind": done.kind,
                "done": not (done.conflicts or done.given_up or args.dry_run),
                "resumed": done.resumed,
                "given_up": done.given_up,
                "prompts": done.prompts,
                "files": [_path(path) for path in done.done],
                "left": {_path(path): why for path, why in done.left.items()},
                "conflicts": [_path(path) for path in done.conflicts],
            }
        )
        return code
    if done.given_up:
        print(f"hearth: {tell_finished(done)[0]}", file=sys.stderr)
        return code
    if not done.conflicts:
        for path in done.done:
            print(_path(path))
    for path, why in list(done.left.items())[:MOST_NAMED]:
        print(f"left as it is: {_path(path)}: {why}", file=sys.stderr)
    if len(done.left) > MOST_NAMED:
        print(f"left as they are: {len(done.left) - MOST_NAMED} others", file=sys.stderr)
    if done.conflicts:
        for path in done.conflicts[:MOST_NAMED]:
            print(f"changed since: {_path(path)}", file=sys.stderr)
        many = count_text(len(done.conflicts), "file")
        print(f"hearth: {many} changed since the turn, nothing was done · --force overwrites them", file=sys.stderr)
        return code
    word = {"undo": "undone", "redo": "done again"}[done.kind]
    would = "would be " if args.dry_run else ""
    turns, files = count_text(len(done.prompts), "turn"), count_text(len(done.done), "file")
    left = f", {len(done.left)} left as {'it is' if len(done.left) == 1 else 'they are'}" if done.left else ""
    again = ": it had been cut off, and nothing else was done" if done.resumed else ""
    print(f"{would}{word}: {turns} ({make_title(done.prompts[0])}), {files}{left}{again}", file=sys.stderr)
    return code


def _fork(args: argparse.Namespace, paths: Paths) -> int:
    origin = args.id or latest_session(paths.sessions, _folder(args))
    fresh = fork_session(paths.sessions, origin, args.turn, datetime.datetime.now().astimezone())
    if args.json:
        return _print_json({"session": fresh, "forked_from": read_session(paths.sessions, fresh).forked_from})
    print(fresh)
    print(f"go on with: hearth run --resume {fresh} PROMPT", file=sys.stderr)
    return 0


def _delete(args: argparse.Namespace, paths: Paths) -> int:
    # Each must be there before any is removed.
    found = [read_title(paths.sessions, session) for session in args.ids]
    if not args.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("nobody can be asked whether to delete", "add --yes")
        for session, title in found:
            print(f"{session}  {title}", file=sys.stderr)
        print(f"delete {count_text(len(found), 'session')} for good? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was deleted", file=sys.stderr)
            return 1
    gone = [delete_session(paths.sessions, session) for session, _ in found]
    if args.json:
        return _print_json({"deleted": gone})
    print(f"deleted {count_text(len(gone), 'session')}", file=sys.stderr)
    return 0


def read_title(folder: Path, session: str) -> tuple[str, str]:
    """The id and the title of a session, also of one that is damaged. Raises TranscriptError when there is none."""
    path = find_session(folder, session)
    titles = [outline.title for outline in list_sessions(folder) if outline.id == path.stem]
    return path.stem, titles[0] if titles else "(damaged)"


def _prune(args: argparse.Namespace, paths: Paths) -> int:
    wanted = load_settings(paths.config_file, os.environ).undo.quota_gib if args.to is None else args.to
    if not 0 <= wanted < 1 << 30:
        raise UsageError(f"--to {wanted:g}: must be 0 or more GiB", "run: hearth sessions prune --help")
    before, after = prune_snapshots(paths.sessions, snapshot_folder(paths), int(wanted * (1 << 30)))
    if args.json:
        return _print_json({"before": before, "after": after})
    print(f"snapshots take {memory_text(after)}, {memory_text(max(before - after, 0))} less", file=sys.stderr)
    return 0


def _read(args: argparse.Namespace, paths: Paths) -> PastSession:
    return read_session(paths.sessions, args.id or latest_session(paths.sessions, _folder(args)))


def _folder(args: argparse.Namespace) -> Path:
    if args.directory is None:
        try:
            return Path.cwd()
        except FileNotFoundError as error:
            raise UsageError("the working folder is gone", "go to another one, or name it with -C") from error
    # A folder that is gone had sessions all the same.
    return Path(args.directory).resolve()


def _outline_json(outline: Outline) -> dict[str, Any]:
    return {
        "session": outline.id,
        "title": outline.title,
        "directory": outline.directory,
        "model": outline.model,
        "created": outline.created,
        "used": round(outline.used, 3),
        "turns": outline.turns,
        "bytes": outline.bytes,
        "forked_from": outline.forked_from,
    }


def _path(path: str) -> str:
    """A path as it can be shown: the root has an empty one, and not all names are text, or harmless on a terminal."""
    text = os.fsencode(path or ".").decode("utf-8", errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _print_json(value: Any) -> int:
    # A folder or a prompt may hold bytes that are no text: only escaped can they be written.
    print(json.dumps(value, separators=(",", ":")))
    return 0


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
