"""``hearth models pull``: fetch a model, with its size, whether it fits, and its progress said."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TextIO

from hearth.cli.models.clearing import clear_up
from hearth.cli.models.progress import Bar
from hearth.cli.models.text import size_text
from hearth.errors import HearthError, ModelUnavailable, UsageError
from hearth.paths import Paths
from hearth.weights.catalogue import Catalogue, Entry, QuantSource, load_catalogue
from hearth.weights.fetch.hub import Hub, read_access
from hearth.weights.fetch.plan import Plan
from hearth.weights.fetch.pull import Puller
from hearth.weights.fetch.wire import Access
from hearth.weights.fit import Request, judge
from hearth.weights.hardware import Machine, measure_machine
from hearth.weights.manifest import Manifest
from hearth.weights.reference import CatalogueRef, FileRef, HubRef, UrlRef, parse_reference
from hearth.weights.store import Store, check_name
from hearth.weights.subject import find_source, of_catalogue

FIT_CONTEXT = 32_768
"""Tokens of context for which a verdict is given where nobody asked for another."""


def run(args: argparse.Namespace, paths: Paths, environment: Mapping[str, str]) -> int:
    """Pull."""
    wish = Wish(args.reference, args.new_name, args.sha256, not args.no_mmproj, args.draft)
    pull(wish, paths, read_access(environment, args.offline), sys.stderr)
    return 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be fetched: a reference, the name that it gets here (empty for its own), what an address's file must
    hash to, and whether the files beside it come too."""

    reference: str
    new_name: str = ""
    sha256: str = ""
    mmproj: bool = True
    draft: bool = False


def pull(wish: Wish, paths: Paths, access: Access, err: TextIO) -> Manifest:
    """Fetch it, or find that it is here already; everything that is said goes to ``err``."""
    paths.ensure()
    catalogue = load_catalogue(paths.config / "models.toml")
    store = Store(paths.models)
    for name in store.settle():
        print(f"{name} was all there: published", file=err)
    plan = make_plan(wish, catalogue, Hub(access))
    there = _same(store, plan)
    if there is not None:
        print(f"{plan.name} is here already, as {plan.origin.revision[:12] or plan.origin.where} has it", file=err)
        return there
    count = f"{len(plan.files)} files" if len(plan.files) > 1 else plan.files[0].name
    print(f"{plan.name} · {size_text(plan.size_bytes)} · {count} · from {_origin(plan)}", file=err)
    if line := fit_line(wish.reference, catalogue, measure_machine()):
        print(line, file=err)
    bar = Bar(err)
    puller = Puller(paths.models, store.publish, access, bar.show)
    try:
        manifest = puller.pull(plan, have=lambda: _same(store, plan))
    except KeyboardInterrupt:
        bar.close()
        print("stopped · the same command goes on where it was", file=err)
        raise
    finally:
        bar.close()
    clear_up(store, err)
    assert isinstance(manifest, Manifest)
    print(f"{plan.name} is here, whole and verified · run: hearth run -m {quote(plan.name)}", file=err)
    return manifest


def make_plan(wish: Wish, catalogue: Catalogue, hub: Hub) -> Plan:
    """What to fetch for a reference, its revision pinned. Raises UsageError and what ``Hub.plan`` raises."""
    reference = parse_reference(wish.reference)
    name = wish.new_name
    if name:
        check_name(name)
    if wish.sha256 and not isinstance(reference, UrlRef):
        raise UsageError("--sha256 belongs to an address", "leave it out: the hub tells the hash of each file")
    match reference:
        case CatalogueRef():
            entry, source = find_source(reference, catalogue)
            default = entry.source()
            own = entry.name if source == default else f"{entry.name}:{source.quant}"
            plan = hub.plan(
                name or own,
                source.repo,
                quant=source.quant,
                pattern=source.pattern,
                mmproj=wish.mmproj,
                draft=wish.draft,
            )
            _check_pin(plan, entry, source)
            return plan
        case HubRef():
            own = f"{reference.repo}:{reference.quant}" if reference.quant else reference.repo
            return hub.plan(
                name or own,
                reference.repo,
                reference.revision,
                quant=reference.quant,
                mmproj=wish.mmproj,
                draft=wish.draft,
            )
        case UrlRef():
            return hub.plan_url(reference.url, wish.sha256, name)
        case FileRef():
            raise UsageError(f"{reference.path} is a file here", f"run: hearth models import {reference.path}")


def fit_line(reference: str, catalogue: Catalogue, machine: Machine) -> str:
    """Whether it fits this machine, in one line; where it is not known before, how to find out. Empty for an address:
    of that it is known when it is here."""
    try:
        parsed = parse_reference(reference)
        if isinstance(parsed, UrlRef):
            return ""
        if not isinstance(parsed, CatalogueRef):
            return f"whether it fits: hearth models fit {reference}"
        subject = of_catalogue(parsed, catalogue)
    except HearthError as error:
        return f"whether it fits is not known yet: {error.what}"
    native = subject.shape.native_context or FIT_CONTEXT
    verdict = judge(subject.shape, subject.file_bytes, Request(min(FIT_CONTEXT, native)), machine)
    return " · ".join(filter(None, (f"{verdict.outcome} · {verdict.why}", verdict.warning)))


def _check_pin(plan: Plan, entry: Entry, source: QuantSource) -> None:
    """Raise ModelUnavailable when the catalogue says which content the one file must have, and the hub has another."""
    weights = [file for file in plan.files if file.role in ("model", "part")]
    if source.sha256 and [file.sha256 for file in weights] != [source.sha256]:
        there = weights[0].sha256[:16] if len(weights) == 1 else f"{len(weights)} files"
        raise ModelUnavailable(
            f"{entry.name} is pinned to sha256 {source.sha256[:16]}…, and {source.repo} has {there or 'none'}",
            "check sha256 in models.toml",
        )


def _same(store: Store, plan: Plan) -> Manifest | None:
    """The model that is there, when it is what the plan would fetch, and whole."""
    manifest = store.manifest(plan.name)
    if manifest is None:
        return None
    planned = {(file.name, file.sha256 or file.size_bytes) for file in plan.files}
    kept = {(file.name, file.sha256) for file in manifest.files} | {
        (file.name, file.size_bytes) for file in manifest.files
    }
    try:
        store.resolve(plan.name)
    except HearthError:
        return None
    return manifest if planned <= kept and len(planned) == len(manifest.files) else None


def _origin(plan: Plan) -> str:
    return f"{plan.origin.where}@{plan.origin.revision[:12]}" if plan.origin.revision else plan.origin.where
