"""``python -m hearth.runtime.pretend``: a pretending engine as a process of its own, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hearth.errors import HearthError
from hearth.runtime.pretend.engine import PretendEngine
from hearth.runtime.pretend.script import Script, load_script


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes. Prints the address on standard output once it answers. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hearth.runtime.pretend", description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--socket", type=Path, help="unix socket to listen on")
    place.add_argument("--port", type=int, help="TCP port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--script", type=Path, help="JSON file with answers and faults")
    parser.add_argument("--api-key", default="", help="key that requests must carry")
    parser.add_argument("--context", type=int, default=32_768, help="tokens that one request may hold")
    parser.add_argument("--slots", type=int, default=2, help="parallel answers")
    parser.add_argument("--record", type=Path, help="file that gets each chat request as one JSON line")
    options = parser.parse_args(arguments)
    try:
        engine = PretendEngine(
            load_script(options.script) if options.script else Script(),
            context=options.context,
            slots=options.slots,
            api_key=options.api_key,
            listen=options.port if options.socket is None else options.socket,
            record=options.record,
        )
        asyncio.run(_serve(engine))
    except HearthError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


async def _serve(engine: PretendEngine) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await engine.listen()
    print(engine.endpoint.socket or engine.endpoint.url, flush=True)
    try:
        await ending.wait()
    finally:
        await engine.stop()


if __name__ == "__main__":
    sys.exit(main())
