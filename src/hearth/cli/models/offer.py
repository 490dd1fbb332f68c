"""What ``hearth run`` does about a model that is not here: offers the pull on a terminal, else says the command."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from hearth.cli.models.fetch import Wish, fit_line, pull
from hearth.cli.models.text import size_text
from hearth.errors import HearthError, ModelUnavailable
from hearth.paths import Paths
from hearth.weights.catalogue import Catalogue, load_catalogue
from hearth.weights.fetch.hub import read_access
from hearth.weights.hardware import measure_machine
from hearth.weights.importers import scan, usual_places
from hearth.weights.reference import CatalogueRef, HubRef, parse_reference
from hearth.weights.store import Store
from hearth.weights.subject import find_source


def offer_model(
    name: str, missing: ModelUnavailable, paths: Paths, environment: Mapping[str, str], ask: TextIO | None
) -> str:
    """Fetch the model if its owner says yes on ``ask``; returns the name that it has here. One that is here under the
    name of which this is an alias is not offered.

    ``ask`` is where the answer is typed, None where there is no terminal. Nothing of the network is used before the
    yes. Raises ModelUnavailable with the command that fetches or imports it; ``missing`` itself when nothing is known
    of the name.
    """
    catalogue = load_catalogue(paths.config / "models.toml")
    entry = catalogue.find(name)
    if entry is not None and entry.name != name and Store(paths.models).manifest(entry.name) is not None:
        return entry.name
    size = _size(name, catalogue)
    if size is None:
        raise missing
    command = f"hearth models pull {name}"
    if ask is None:
        raise ModelUnavailable(f"model {name} is not here ({size})", f"run: {command}")
    known = [each for each in scan(usual_places(environment, Path.home())) if name in (each.name, *each.aliases)]
    print(f"model {name} is not here · {size}", file=sys.stderr)
    print(fit_line(name, catalogue, measure_machine()), file=sys.stderr)
    if known:
        print(f"{known[0].program} has it: hearth models import {name} takes it over", file=sys.stderr)
    print("fetch it now? [y/N] ", end="", file=sys.stderr, flush=True)
    if ask.readline().strip().lower() not in ("y", "yes"):
        raise ModelUnavailable(f"model {name} is not here", f"run: {command}")
    return pull(Wish(name), paths, read_access(environment), sys.stderr).name


def _size(name: str, catalogue: Catalogue) -> str | None:
    """Where it would come from and how large it is, in words; None when nothing is known of the name."""
    try:
        reference = parse_reference(name)
        if isinstance(reference, HubRef):
            return f"its size is the hub's to tell, {reference.repo}"
        if not isinstance(reference, CatalogueRef):
            return None
        _, source = find_source(reference, catalogue)
    except HearthError:
        return None
    size = size_text(source.size_bytes) if source.size_bytes else "its size is not known yet"
    return f"{source.quant}, {size}, from {source.repo}"
