"""``hearth doctor``: what is wrong, and the command that mends it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import asdict

import msgspec

from hearth.ops.doctor import Check, examine
from hearth.paths import resolve_paths


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor``."""
    parser = subparsers.add_parser("doctor", help="what is wrong, and the command that mends it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Show each check as it is done; 1 when any failed."""
    checks = asyncio.run(_collect(show=not args.json))
    failed = [check for check in checks if not check.ok]
    if args.json:
        print(msgspec.json.encode({"ok": not failed, "checks": [asdict(check) for check in checks]}).decode())
    else:
        print(f"\n{len(failed)} of {len(checks)} need mending" if failed else "\nall well")
    return 1 if failed else 0


async def _collect(*, show: bool) -> list[Check]:
    def tell(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)

    checks = []
    async for check in examine(resolve_paths(os.environ), os.environ, tell):
        checks.append(check)
        if show:
            print("\n".join(lines(check)), flush=True)
    return checks


def lines(check: Check) -> list[str]:
    """One check for a person; a failed one has a second line that says what mends it."""
    head = f"{'ok  ' if check.ok else 'FAIL'} {check.name:13} {check.text}"
    return [head] if check.ok or not check.fix else [head, f"{'':19}→ {check.fix}"]
