"""``python -m hearth.runtime.pretend``: a pretending engine as a process of its own, until SIGTERM or Ctrl-C.

With ``--orders`` it is a child like any engine: its first line of input tells key and script (``Orders``), the end of
its input ends it, what it pretends to compute takes real processor time, and when it dies it dies.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hearth.errors import HearthError
from hearth.runtime.pretend.core import Core
from hearth.runtime.pretend.engine import PretendEngine
from hearth.runtime.pretend.script import Load, Orders, Script, load_script

EXIT_LOAD_FAILED = 1
_NO_MEMORY = """\
0.00.412.871 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 68719476736
0.00.412.874 E alloc_tensor_range: failed to allocate CPU buffer of size 68719476736
0.00.412.991 E llama_model_load: error loading model: unable to allocate CPU buffer"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes. Prints the address on standard output once it answers. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hearth.runtime.pretend", description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--socket", type=Path, help="unix socket to listen on")
    place.add_argument("--port", type=int, help="TCP port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--script", type=Path, help="JSON file with answers and faults")
    parser.add_argument("--orders", action="store_true", help="key and script come on standard input, as JSON")
    parser.add_argument("--api-key", default="", help="key that requests must carry")
    parser.add_argument("--context", type=int, default=32_768, help="tokens that one request may hold")
    parser.add_argument("--slots", type=int, default=2, help="parallel answers")
    parser.add_argument("--record", type=Path, help="file that gets each chat request as one JSON line")
    options = parser.parse_args(arguments)
    try:
        script = load_script(options.script) if options.script else Script()
        orders = Orders(options.api_key, script)
        if options.orders:
            orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
            threading.Thread(target=_end_with_input, daemon=True).start()
        if not _load(orders.script):
            return EXIT_LOAD_FAILED
        engine = PretendEngine(
            orders.script,
            context=options.context,
            slots=options.slots,
            api_key=orders.api_key,
            listen=options.port if options.socket is None else options.socket,
            record=options.record,
            core=Core(burns=options.orders, die=lambda: os.kill(os.getpid(), signal.SIGKILL)),
        )
        asyncio.run(_serve(engine, deaf=orders.script.deaf))
    except HearthError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _load(script: Script) -> bool:
    """Whether the load goes well, as far as that can be told before it listens."""
    if script.load not in (Load.DEATH, Load.OUT_OF_MEMORY):
        return True
    time.sleep(script.loading_s)
    if script.load is Load.OUT_OF_MEMORY:
        print(_NO_MEMORY, file=sys.stderr)
    return False


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # The parent is gone: nobody is asked any more.
    os._exit(0)


async def _serve(engine: PretendEngine, *, deaf: bool) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, (lambda: None) if deaf else ending.set)
    await engine.listen()
    print(engine.endpoint.socket or engine.endpoint.url, flush=True)
    try:
        await ending.wait()
    finally:
        await engine.stop()


if __name__ == "__main__":
    sys.exit(main())
