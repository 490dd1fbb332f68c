"""``hearth models``: the models on this machine, and those that could be. Each group of verbs has its own file."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

from hearth.paths import resolve_paths

VERBS = {
    "list": "inventory",
    "show": "inventory",
    "remove": "inventory",
    "fit": "advice",
    "recommend": "advice",
    "pull": "fetch",
    "scan": "adoption",
    "import": "adoption",
    "load": "residency",
    "unload": "residency",
    "pin": "residency",
    "unpin": "residency",
    "calibrate": "calibrate",
}
"""Verb to file in this package. A file has ``run(args, paths, environment) -> int``."""

PURPOSES = ("agent", "quick", "fim", "plan", "prose")
WAYS = ("auto", "link", "reflink", "reference", "copy")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``models`` and its verbs."""
    parser = subparsers.add_parser("models", help="the models on this machine")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _with_json(verbs.add_parser("list", help="every model that can be asked for"))
    show = _with_json(verbs.add_parser("show", help="all that is known of one model"))
    show.add_argument("name", metavar="NAME")
    remove = verbs.add_parser("remove", help="delete a model, and of its files what nobody else uses")
    remove.add_argument("name", metavar="NAME")
    _register_advice(verbs)
    for verb, text in (
        ("load", "load a model now, if it has room"),
        ("unload", "unload a model as soon as nobody uses it"),
        ("pin", "keep a model loaded: it never makes room for another"),
        ("unpin", "let it go again"),
    ):
        verbs.add_parser(verb, help=text).add_argument("name", metavar="NAME")
    calibrate = _with_json(verbs.add_parser("calibrate", help="measure how a model calls tools and edits, and keep it"))
    calibrate.add_argument("name", metavar="NAME")
    calibrate.add_argument("--minutes", type=float, default=1.0, metavar="N", help="how long it may take at most (1)")
    calibrate.add_argument("--reset", action="store_true", help="forget what was found before, and measure nothing")
    _register_fetch(verbs)
    scan = _with_json(
        verbs.add_parser("scan", help="find models of Ollama, LM Studio, llama.cpp and the Hugging Face cache")
    )
    scan.add_argument("folders", nargs="*", metavar="FOLDER", help="look here instead of in the usual places")
    take = verbs.add_parser("import", help="take over a model that scan found, in place, without a second copy")
    take.add_argument("name", metavar="NAME", help="a name that scan shows, or a .gguf file")
    take.add_argument("folders", nargs="*", metavar="FOLDER", help="look here instead of in the usual places")
    take.add_argument("--as", dest="new_name", default="", metavar="NAME", help="what it is called here")
    take.add_argument("--how", choices=WAYS, default="auto", help="auto never copies")


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    return int(import_module(f"hearth.cli.models.{VERBS[args.verb]}").run(args, resolve_paths(os.environ), os.environ))


def _with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _register_advice(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fit = _with_json(verbs.add_parser("fit", help="does it fit this machine, how, and with how much context"))
    fit.add_argument("name", metavar="NAME", help="a model here, of the catalogue (NAME:QUANT), of the hub, or a file")
    fit.add_argument("--kv", default="f16", metavar="TYPE", help="f16, q8_0 or q4_0 for the cache (f16)")
    fit.add_argument("--slots", type=int, metavar="N", help="requests at once (as in the settings)")
    recommend = _with_json(verbs.add_parser("recommend", help="which models suit this machine, and why"))
    recommend.add_argument("--for", dest="purpose", choices=PURPOSES, default="agent", help="what it is for (agent)")
    recommend.add_argument("-n", type=int, default=8, metavar="N", help="how many (8)")
    for parser in (fit, recommend):
        parser.add_argument("--ctx", type=int, metavar="N", help="tokens of context for each request")
        parser.add_argument(
            "--gpu-memory", default="", metavar="SIZE", help="a machine with such a card, 16GiB[,16GiB]"
        )
        parser.add_argument("--ram", default="", metavar="SIZE", help="and with so much memory, 32GiB")


def _register_fetch(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pull = verbs.add_parser("pull", help="fetch a model, whole and verified")
    pull.add_argument(
        "reference", metavar="REF", help="gpt-oss:20b, owner/name:QUANT, hf:owner/name@revision, https://…"
    )
    pull.add_argument("--as", dest="new_name", default="", metavar="NAME", help="what it is called here")
    pull.add_argument("--sha256", default="", metavar="HEX", help="what the file of an address must hash to")
    pull.add_argument("--no-mmproj", action="store_true", help="without the file that lets it see images")
    pull.add_argument("--draft", action="store_true", help="with the small model that guesses ahead, if there is one")
    pull.add_argument("--offline", action="store_true", help="use no network: say what would be fetched, and stop")
