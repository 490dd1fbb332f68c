"""Stands for llama-server binaries of several years: takes the flags that each one's help tells of, no others, and
serves through the real engine.

``write_program`` makes one; this file itself is what it runs: ``python llama_server_program.py GENERATION FLAGS``.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

DATA = Path(__file__).parent / "data" / "llama_server"
VERSIONS = {
    "4589": "version: 4589 (eb7cf15a)\nbuilt with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n",
    "10434": "version: 0.1.0-dev (build 1, commit 7e4c0a9)\nbuilt with GNU 11.4.0 for Linux x86_64\n",
    "11434": "version: 0.6.0-dev (build 0, commit unknown)\nbuilt with GNU 12.2.0 for Linux x86_64\n",
}
"""What the builds print. The helps of the last two are theirs, word for word; that of the first is short, by the
documentation of its time."""
SWITCHES = {
    "--flash-attn", "--jinja", "--kv-unified", "--metrics", "--no-cache-idle-slots", "--no-context-shift",
    "--no-kv-unified", "--no-ui", "--no-webui", "--offline", "--slots",
}  # fmt: skip


def help_of(generation: str) -> str:
    """What a build prints for ``--help``."""
    return (DATA / f"help-{generation}.txt").read_text(encoding="utf-8")


def write_program(path: Path, generation: str) -> Path:
    """An executable of this generation. It notes each start in ``PATH.runs``, with the names in its environment."""
    path.write_text(
        f"#!/bin/sh\n(echo \"$1\"; env | cut -d= -f1) | tr '\\n' ' ' >> '{path}.runs'; echo >> '{path}.runs'\n"
        f"exec '{sys.executable}' '{Path(__file__).absolute()}' {generation} \"$@\"\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def main(generation: str, arguments: list[str]) -> int:
    """As llama-server's."""
    if arguments == ["--version"]:
        print(VERSIONS[generation], end="", file=sys.stderr)
        return 0
    if arguments == ["--help"]:
        print(help_of(generation))
        return 0
    given = read_flags(generation, arguments)
    if given is None:
        return 1
    serve(given)
    return 0


def read_flags(generation: str, arguments: list[str]) -> dict[str, str] | None:
    """The flags with their values; None after a complaint about one that this generation does not know."""
    known = help_of(generation).replace(",", " ").split()
    bare_flash = "[on|off|auto]" not in help_of(generation)
    given: dict[str, str] = {}
    rest = iter(arguments)
    for flag in rest:
        if flag not in known:
            print(f"error: invalid argument: {flag}", file=sys.stderr)
            return None
        is_switch = flag in SWITCHES and not (flag == "--flash-attn" and not bare_flash)
        given[flag] = "on" if is_switch else next(rest)
    return given


def serve(given: dict[str, str]) -> None:
    """Until a signal."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = given["--model"]
    parameters.model_alias = {given["--alias"]}
    parameters.hostnames = [given["--host"]]
    parameters.port = int(given.get("--port", "0"))
    parameters.api_keys = [os.environ["LLAMA_API_KEY"]]
    parameters.n_ctx = int(given["--ctx-size"])
    parameters.n_parallel = int(given["--parallel"])
    parameters.kv_unified = "--kv-unified" in given
    parameters.kv_unified_per_slot = int(given.get("--kv-unified-per-slot", "0"))
    parameters.cpuparams.n_threads = int(given.get("--threads", "-1"))
    parameters.cpuparams_batch.n_threads = int(given.get("--threads-batch", "-1"))
    parameters.n_batch = int(given["--batch-size"])
    parameters.n_ubatch = int(given["--ubatch-size"])
    for flag, field in (("--cache-type-k", "cache_type_k"), ("--cache-type-v", "cache_type_v")):
        if flag in given:
            setattr(parameters, field, getattr(xllamacpp.ggml_type, f"GGML_TYPE_{given[flag].upper()}"))
    if given.get("--flash-attn") == "on":
        parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    if given.get("--spec-type") == "ngram-mod":
        parameters.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD]
    parameters.cache_ram_mib = int(given.get("--cache-ram", "0"))
    parameters.cache_idle_slots = "--no-cache-idle-slots" not in given
    parameters.slot_save_path = given.get("--slot-save-path", "")
    parameters.endpoint_slots = "--slots" in given
    parameters.endpoint_metrics = "--metrics" in given
    parameters.ui = False
    parameters.verbosity = int(given.get("--verbosity", "3"))
    server = xllamacpp.Server(parameters)
    print(f"server is listening on {server.listening_address}", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
