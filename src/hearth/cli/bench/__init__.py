"""``hearth bench``: what this machine does with a model, and how well its answers are read."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

from hearth.paths import resolve_paths

VERBS = {"speed": "speed", "toolcalls": "toolcalls"}
"""Verb to file in this package. A file has ``run(args, paths, environment) -> int``."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``bench`` and its verbs."""
    parser = subparsers.add_parser("bench", help="what this machine does with a model, how well its answers are read")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    speed = verbs.add_parser("speed", help="find the fastest settings of a model, and keep them")
    speed.add_argument("model", metavar="MODEL", help="a model of hearth models list")
    speed.add_argument("--minutes", type=float, default=5.0, metavar="N", help="how long it may take at most (5)")
    speed.add_argument(
        "--kv", action="append", default=[], metavar="TYPE", help="tell what this type of KV cache gains"
    )
    speed.add_argument("--reset", action="store_true", help="forget what was found before, and measure nothing")
    speed.add_argument(
        "--force", action="store_true", help="measure beside a running daemon, keep what was found on a busy machine"
    )
    speed.add_argument("--plot", default="", metavar="FILE", help="where the plot goes, an .svg file")
    speed.add_argument("--json", action="store_true", help="print JSON")
    toolcalls = verbs.add_parser("toolcalls", help="score how answers with broken tool calls are mended")
    toolcalls.add_argument("file", metavar="FILE", help="recorded answers with the right reaction, one a line")
    toolcalls.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    return int(import_module(f"hearth.cli.bench.{VERBS[args.verb]}").run(args, resolve_paths(os.environ), os.environ))
