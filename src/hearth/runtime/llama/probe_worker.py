"""One measurement: has llama.cpp lay a model out without giving it memory, and tell how much it would take.

Run as ``python -m hearth.runtime.llama.probe_worker`` with one JSON line (``ProbeOptions``) on standard input. The
engine prints its table of memory to standard error; whoever reads it ends this process then, because the engine would
go on into an abort: it was never meant to serve a model without weights. None are read. The parameters are those of the
worker, so that what is measured is what is loaded.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec
import xllamacpp
from xllamacpp import CommonParams, Server

from hearth.runtime.launch import Launch
from hearth.runtime.llama.probe import ProbeOptions
from hearth.runtime.llama.worker import server_parameters
from hearth.runtime.llama.worker_options import WorkerOptions

EXIT_BAD_OPTIONS = 64
EXIT_LOAD_FAILED = 70
EXIT_NOT_STOPPED = 71


def main() -> int:
    """Read the options, measure. Returns only when the engine neither crashed nor was ended in time."""
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=ProbeOptions)
        parameters = probe_parameters(options)
    except (msgspec.DecodeError, ValueError) as error:
        print(f"hearth probe: bad options: {error}", file=sys.stderr)
        return EXIT_BAD_OPTIONS
    _prepare_for_the_crash(options.limit_s)
    try:
        Server(parameters)
    except RuntimeError as error:
        print(f"hearth probe: {error}", file=sys.stderr)
        return EXIT_LOAD_FAILED
    finally:
        Path(options.socket).unlink(missing_ok=True)
    os._exit(EXIT_NOT_STOPPED)


def _prepare_for_the_crash(limit_s: int) -> None:
    """Leave no core file, and have the crash wait: the engine writes its log from a thread of its own, which would
    lose the table. ``sleep`` as the handler takes the signal's number for seconds; meanwhile the parent has read the
    table and ends us, and when there is no parent or no table, the alarm does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(limit_s)
    library = ctypes.CDLL(None)
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.signal.restype = ctypes.c_void_p
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT):
        library.signal(number, ctypes.cast(library.sleep, ctypes.c_void_p))


def probe_parameters(options: ProbeOptions) -> CommonParams:
    """The worker's parameters for these options, with nothing allocated. Raises ValueError for a wrong KV type."""
    kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{options.kv_type.upper()}", None)
    if kind is None:
        raise ValueError(f"there is no KV type {options.kv_type!r}")
    worker = WorkerOptions(
        model=options.model,
        name="probe",
        socket=options.socket,
        api_key="a key that nobody uses",
        parent=0,
        launch=Launch(context=options.context, slots=options.slots, micro_batch=options.micro_batch),
    )
    parameters = server_parameters(worker)
    if not options.unified:
        parameters.kv_unified = False
        parameters.kv_unified_per_slot = 0
    parameters.cache_type_k = kind
    parameters.cache_type_v = kind
    parameters.load_mtp = options.draft
    parameters.no_alloc = True
    # The table is the same for all modes. In the usual one the engine then has the system read the whole file into its
    # page cache: 29 s for 14 GB.
    parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    parameters.fit_params = True
    parameters.warmup = False
    return parameters


if __name__ == "__main__":
    sys.exit(main())
