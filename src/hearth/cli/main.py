"""``hearth``: finds the command's file, and turns every error into one line and an exit code."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from importlib import import_module
from types import ModuleType

from hearth import __version__
from hearth.cli.plain import printable
from hearth.errors import HearthError

COMMANDS = {
    "run": "run",
    "demo": "demo",
    "sessions": "sessions",
    "serve": "serve",
    "stop": "daemon",
    "status": "daemon",
    "logs": "daemon",
    "models": "models",
    "kv": "kv",
    "bench": "bench",
    "engine": "engine",
    "doctor": "doctor",
}
"""Command to file in this package. A file has ``register(subparsers)`` and ``run(args) -> int``."""

HELP = """\
hearth: a private coding agent with its own engine. Nothing leaves this machine.

First:
  demo                          see it mend a failing test, with the model in the package, no download
  run "Fix the tests"           let it work in this folder

Work:
  run PROMPT                    one task from the command line; -c goes on where it stopped
  sessions undo                 take the last turn back, and what it changed; also redo, list, search, export, fork

Models and daemon:
  models list                   the models on this machine, which are loaded, which are pinned
  models recommend              which others suit it; models pull NAME fetches one
  models load NAME              load one now; also unload, pin, unpin
  status                        what runs: daemon, models, context, memory
  serve                         run the daemon in this terminal, with the API on 127.0.0.1:8888
  stop                          stop the daemon
  logs [MODEL]                  what the daemon, or a model's engine, wrote; -f follows
  kv list                       the saved states of conversations: nothing is read twice
  bench speed MODEL             how fast a model is here; finds its fastest settings in five minutes and keeps them
  engine install                a faster build of the engine, for the cards or the processor of this machine
  doctor                        what is wrong, and the command that mends it

hearth COMMAND --help shows a command's options. --version shows the version.
Exit codes: 0 done, 1 failed, 2 usage, 3 stopped at a limit, 4 model or engine not available, 5 denied, 130 interrupted.
"""
BROKEN_PIPE = 141
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk without room answers: often it is the one that standard output goes to."""
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. ``argv`` is without the program's name; None takes the process's."""
    arguments = sys.argv[1:] if argv is None else argv
    _open_streams()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except HearthError as error:
        return _say(error, f"hearth: {error}", error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            return _say(error, f"hearth: cannot write: {error.strerror} · make room on the disk", 1)
        hint = "HEARTH_DEBUG=1 shows where"
        return _say(error, f"hearth: this is a fault of hearth: {type(error).__name__}: {error} · {hint}", 1)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return 0
    if arguments[0] in ("-V", "--version"):
        sys.stdout.write(f"hearth {__version__}\n")
        return 0
    command = arguments[0]
    tools = _load("parser")
    if command not in COMMANDS:
        raise tools.unknown_command(command, COMMANDS)
    parser = tools.Parser(prog="hearth")
    module = _load(COMMANDS[command])
    module.register(parser.add_subparsers(dest="command", required=True))
    code: int = module.run(parser.parse_args(arguments))
    return code


def _load(name: str) -> ModuleType:
    """A file of this package with all that it needs. Loaded only now: --version and --help answer without.

    What is loaded stays until the end. Python need not look through it for garbage again and again, here and when it
    ends: that took 30 ms of a ``hearth run``.
    """
    gc.disable()
    try:
        return import_module(f"hearth.cli.{name}")
    finally:
        gc.freeze()
        gc.enable()


def _open_streams() -> None:
    """Give a standard stream that was closed a place: else the next file that is opened would get its number. What a
    stream cannot write must not end the command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        # A question mark stands for a dot or bar that the locale does not have, and for bytes that are no text.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    # The interpreter flushes stdout once more at its end: give it a place where that succeeds.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(error: Exception, line: str, code: int) -> int:
    if os.environ.get("HEARTH_DEBUG") == "1":
        sys.excepthook(type(error), error, error.__traceback__)
    print(printable(line), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    return code
