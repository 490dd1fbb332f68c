"""One engine process: serves one GGUF through llama.cpp, in this process, on a unix socket.

Run as ``python -m hearth.runtime.llama.worker`` with one JSON line (``WorkerOptions``) on standard input, which must
then stay open: its end means that the parent is gone, and the worker ends too. The API key comes by that line, because
``argv`` is public. What llama.cpp has to say goes to standard error.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
import xllamacpp
from xllamacpp import CommonParams, Server

from hearth.runtime.launch import Launch, host_experts
from hearth.runtime.llama.leash import EXIT_ORPHAN, stand_first_for_the_oom_killer, tie_to_parent
from hearth.runtime.llama.worker_options import WorkerOptions

EXIT_BAD_OPTIONS = 64
EXIT_LOAD_FAILED = 70
EXIT_NO_DEVICE = 72

_FLASH = {
    "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_SPECULATION = {
    "none": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NONE,
    "ngram-mod": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD,
    "draft-mtp": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP,
}


def main() -> int:
    """Read the options, load, serve until SIGTERM or the parent's end. Returns the exit code."""
    line = sys.stdin.buffer.readline()
    try:
        options = msgspec.json.decode(line, type=WorkerOptions)
    except msgspec.DecodeError as error:
        print(f"hearth worker: bad options: {error}", file=sys.stderr)
        return EXIT_BAD_OPTIONS
    if not tie_to_parent(options.parent):
        return EXIT_ORPHAN
    return _serve(options)


def _serve(options: WorkerOptions) -> int:
    os.umask(0o077)
    stand_first_for_the_oom_killer()
    socket = Path(options.socket)
    socket.unlink(missing_ok=True)
    if options.device and not any(told["name"].startswith(options.device) for told in xllamacpp.get_device_info()):
        # It would run on the processor without a word.
        print(f"hearth worker: this build of the engine sees no {options.device} device", file=sys.stderr)
        return EXIT_NO_DEVICE
    try:
        # Holds the GIL until the model is loaded. SIGTERM keeps its default action so long: nothing is there to save.
        server = Server(server_parameters(options))
    except RuntimeError as error:
        print(f"hearth worker: {error}", file=sys.stderr)
        socket.unlink(missing_ok=True)
        return EXIT_LOAD_FAILED
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ending.set())
    threading.Thread(target=_await_end_of_input, args=(ending,), daemon=True).start()
    print(f"hearth worker: serving on {server.listening_address}", file=sys.stderr, flush=True)
    ending.wait()
    socket.unlink(missing_ok=True)
    # A plain return would run the server's destructor, which waits until the running answers are finished (32 s
    # seen), and nobody waits for those.
    os._exit(0)


def server_parameters(options: WorkerOptions) -> CommonParams:
    """The engine's ``CommonParams`` for these options: a private, single-model server and nothing else."""
    parameters = CommonParams()
    parameters.model.path = options.model
    parameters.model_alias = {options.name}
    parameters.hostnames = [options.socket]
    parameters.api_keys = [options.api_key]
    _apply_launch(parameters, options.launch)
    # Else each new request empties the other slots into that memory, whence no file can be saved.
    parameters.cache_idle_slots = not options.slot_folder
    if options.slot_folder:
        # The engine joins folder and file name without a separator.
        parameters.slot_save_path = options.slot_folder.rstrip("/") + "/"
    parameters.endpoint_slots = True
    parameters.endpoint_props = True
    parameters.endpoint_metrics = True
    parameters.ui = False
    parameters.ui_mcp_proxy = False
    parameters.server_tools = []
    parameters.mcp_servers_config = ""
    parameters.mcp_servers_json = ""
    parameters.offline = True
    # Level 4 tells the sizes of the buffers and what a load is at; it never tells what was asked.
    parameters.verbosity = 4
    return parameters


def _apply_launch(parameters: CommonParams, launch: Launch) -> None:
    # One pool, and in it a fixed share for each slot: a request that fits is never ended by its neighbour.
    parameters.kv_unified = True
    parameters.kv_unified_per_slot = launch.context
    parameters.n_ctx = launch.pool
    parameters.n_parallel = launch.all_slots
    parameters.cache_type_k = parameters.cache_type_v = getattr(
        xllamacpp.ggml_type, f"GGML_TYPE_{launch.kv_type.upper()}"
    )
    parameters.n_batch = launch.batch
    parameters.n_ubatch = min(launch.micro_batch, launch.batch)
    parameters.flash_attn_type = _FLASH[launch.flash]
    if launch.threads:
        parameters.cpuparams.n_threads = launch.threads
    if threads := launch.batch_threads or launch.threads:
        parameters.cpuparams_batch.n_threads = threads
    _place(parameters, launch)
    parameters.n_ctx_checkpoints = launch.checkpoints
    parameters.checkpoint_min_step = launch.checkpoint_step
    parameters.n_cache_reuse = launch.cache_reuse
    parameters.speculative.types = [_SPECULATION[launch.speculation]]
    parameters.load_mtp = launch.speculation == "draft-mtp"
    parameters.cache_ram_mib = launch.cache_ram_mib


def _place(parameters: CommonParams, launch: Launch) -> None:
    """Put layers and experts where the launch says, and nowhere else: when that does not fit the load fails and is
    told, while the engine's own fitting would move layers to the processor without a word. It gives up, too, where
    anything is placed already."""
    parameters.fit_params = False
    parameters.n_gpu_layers = launch.gpu_layers
    if launch.tensor_split:
        shares = list(parameters.tensor_split)
        parameters.tensor_split = [*launch.tensor_split, *(0.0 for _ in shares)][: len(shares)]
    parameters.tensor_buft_overrides = host_experts(launch.host_expert_layers)


def _await_end_of_input(ending: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    ending.set()


if __name__ == "__main__":
    sys.exit(main())
