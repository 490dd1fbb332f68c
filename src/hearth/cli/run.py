"""``hearth run``: one turn of the agent, without a screen of its own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TextIO

import msgspec

from hearth.agent.approval import Ask, Mode
from hearth.agent.assemble import Start, open_session
from hearth.agent.pruning import is_pruning_due
from hearth.agent.rewind import snapshot_folder
from hearth.agent.session import Session
from hearth.cli.models.address import find_elsewhere
from hearth.cli.output import JsonLines, JsonObject, Output, PlainText
from hearth.errors import HearthError, ModelUnavailable, UsageError
from hearth.events import Event, Failed, Finished
from hearth.ops.daemon import ensure_daemon, run_aside
from hearth.ops.record import read_record, version_note
from hearth.paths import Paths, resolve_paths
from hearth.settings import load_settings

PILOT = "pilot"
"""The model in the package: it is always here, and not looked for."""

EPILOG = """\
modes: plan offers the tools that only look; ask asks on the terminal before every other call and denies it where there
is no terminal (exit code 5); auto runs every call. On a terminal with text output the default is ask, otherwise auto.

exit codes: 0 done, 1 failed, 2 usage, 3 stopped at a limit, 4 model or engine not available, 5 denied, 130 interrupted
"""


def register(subparsers: Any) -> None:
    """Add ``run`` to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="do what PROMPT asks in this folder",
        description="Do what PROMPT asks in this folder: one turn of the agent.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to do; - or nothing reads standard input")
    parser.add_argument("-C", dest="directory", metavar="DIR", help="the project folder (default: this one)")
    parser.add_argument("-m", "--model", metavar="MODEL", help="the model that answers")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "-c",
        "--continue",
        dest="resume",
        action="store_const",
        const="",
        help="go on with the latest session of this folder",
    )
    which.add_argument("--resume", dest="resume", metavar="ID", type=_session_id, help="go on with this session")
    parser.add_argument("--mode", choices=("plan", "ask", "auto"), help="what the model may do unasked, see below")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N model answers (exit code 3)")
    parser.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
    parser.add_argument("-q", "--quiet", action="store_true", help="as text the answer and errors alone")


def _session_id(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the id is empty; -c goes on with the latest session")
    return text


def run(args: argparse.Namespace) -> int:
    """Run the turn; the exit code."""
    output = _make_output(args.output_format, args.quiet)
    _set_log(os.environ)
    try:
        return asyncio.run(_run(args, output, os.environ))
    except HearthError as error:
        return _fail(output, error.what, error.fix, error.exit_code)
    except KeyboardInterrupt:
        return _fail(output, "interrupted", "", 130)
    finally:
        output.close()


async def _run(args: argparse.Namespace, output: Output, environment: Mapping[str, str]) -> int:
    prompt = read_prompt(args.prompt)
    paths = resolve_paths(environment)
    settings = load_settings(paths.config_file, environment, _flags(args))
    if not settings.gateway.url and settings.model != PILOT and find_elsewhere(settings.model, settings) is None:
        settings = msgspec.structs.replace(settings, model=_present_model(settings.model, paths, environment))
    await ensure_daemon(paths, settings, environment, output.tell)
    if not settings.gateway.url:
        warn_of_version(paths, sys.stderr)
    mode, ask = _approval(args, output)
    start = Start(mode, Path(args.directory) if args.directory else None, args.resume)
    session = await open_session(paths, settings, environment, start, ask)
    try:
        return await show_turn(session, prompt, output)
    finally:
        await session.close()
        prune_aside(paths, environment, time.time())


def prune_aside(paths: Paths, environment: Mapping[str, str], now: float) -> int:
    """Have old snapshots dropped, once a day, by a process that nobody waits for: it may take minutes. Its id, or 0."""
    if not is_pruning_due(snapshot_folder(paths), now):
        return 0
    return run_aside(paths, environment, ["sessions", "prune"])


def _present_model(name: str, paths: Paths, environment: Mapping[str, str]) -> str:
    """The name of a model that is here: this one, or after a yes on the terminal what was fetched for it.

    Raises ModelUnavailable with the command that fetches it.
    """
    from hearth.weights.store import Store

    try:
        return Store(paths.models).resolve(name).name
    except ModelUnavailable as missing:
        from hearth.cli.models.offer import offer_model

        terminal = sys.stdin.isatty() and sys.stderr.isatty()
        return offer_model(name, missing, paths, environment, sys.stdin if terminal else None)


def warn_of_version(paths: Paths, stream: TextIO) -> None:
    """One line when the daemon is of another version, as after an upgrade: it is warm, so it is kept."""
    record = read_record(paths)
    if record and (note := version_note(record.version)):
        print(f"hearth: {note} · run: hearth stop", file=stream)


async def show_turn(session: Session, prompt: str, output: Output) -> int:
    """Run one turn and show its events; the exit code. SIGINT, SIGTERM and SIGHUP interrupt the turn."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, session.interrupt)
    code = 1
    try:
        async with aclosing(session.turn(prompt)) as events:
            async for event in events:
                code = exit_code(event, code, session.unasked)
                output.show(event)
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    return code


def exit_code(event: Event, code: int, unasked: int) -> int:
    """The exit code after an event: that of the failure, else 5 when calls were denied unasked, else 0."""
    match event:
        case Failed():
            return event.exit_code
        case Finished(status="completed"):
            return 5 if unasked else 0
        case Finished(status="stopped"):
            return 3
        case _:
            return code


def read_prompt(given: str | None) -> str:
    """The prompt from the command line or standard input. Raises UsageError when there is none."""
    if given is None and sys.stdin.isatty():
        raise UsageError("no prompt", "say what to do: hearth run PROMPT")
    text = sys.stdin.buffer.read().decode("utf-8", errors="replace") if given in (None, "-") else str(given)
    if not text.strip():
        raise UsageError("the prompt is empty", "say what to do: hearth run PROMPT")
    return text.strip()


def _set_log(environment: Mapping[str, str]) -> None:
    """What goes wrong inside is a traceback on standard error with HEARTH_DEBUG=1, and one line without."""
    debug = environment.get("HEARTH_DEBUG") == "1"
    logging.getLogger("hearth").addHandler(logging.StreamHandler() if debug else logging.NullHandler())


def _flags(args: argparse.Namespace) -> dict[str, Any]:
    wished = {"model": args.model, "agent.max_steps": args.max_steps}
    return {name: value for name, value in wished.items() if value is not None}


def _make_output(output_format: str, quiet: bool) -> Output:
    if output_format == "json":
        return JsonObject(sys.stdout)
    if output_format == "stream-json":
        return JsonLines(sys.stdout)
    if quiet or not sys.stdout.isatty():
        return PlainText(sys.stdout, sys.stderr, quiet=quiet)
    from hearth.cli.live import LiveText

    return LiveText(sys.stdout)


def _approval(args: argparse.Namespace, output: Output) -> tuple[Mode, Ask | None]:
    """The mode, and who is asked: a person only at a terminal."""
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    mode: Mode = args.mode or ("ask" if terminal and args.output_format == "text" else "auto")
    if mode != "ask" or not terminal:
        return mode, None
    from hearth.cli.live import LiveText, ask_terminal

    return mode, output.ask if isinstance(output, LiveText) else ask_terminal


def _fail(output: Output, what: str, fix: str, code: int) -> int:
    """End with a failure that came before the session's first event, or outside any turn."""
    output.show(Failed("agent", what, fix, code))
    output.show(Finished("failed", "", 0, (), ""))
    return code
