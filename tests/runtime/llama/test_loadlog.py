"""Why a load failed, read from the engine's own words (copied from build 11549)."""

import pytest

from hearth.errors import CorruptModel, EngineFailed, HearthError, ModelUnavailable, OutOfMemory
from hearth.runtime.llama.loadlog import load_error

FAILED = """\
0.00.003.890 E llama_model_load_from_file_impl: failed to load model
0.00.004.125 E srv    load_model: failed to load model, '/m/m.gguf'
0.00.004.558 E srv          init: exiting due to model loading error
hearth worker: Failed to init server, please check the input params."""


def diagnose(line: str, exit_text: str = "exit code 70") -> HearthError:
    return load_error([*line.splitlines(), *FAILED.splitlines()], "m", exit_text, "/logs/engine-m.log")


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        (
            "0.00.003 E llama_model_load: error loading model: unknown model architecture: 'qwen9'",
            CorruptModel,
            "does not know the architecture 'qwen9'",
        ),
        (
            "0.00.003 E llama_model_load: error loading model: tensor 'blk.1.attn_output.weight' data is not within "
            "the file bounds, model is corrupted or incomplete",
            CorruptModel,
            "cut short",
        ),
        ("0.00.003 E gguf_init_from_reader: failed to read key-value pairs", CorruptModel, "cut short"),
        (
            "0.00.003 E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
            CorruptModel,
            "not a GGUF",
        ),
        ("0.00.003 E gguf_init_from_reader: failed to read magic", CorruptModel, "not a GGUF"),
        (
            "0.00.003 E gguf_init_from_reader: number of tensors is -1 but must be in [0, 53624256028225440]",
            CorruptModel,
            "damaged",
        ),
        (
            "0.00.003 E gguf_init_from_reader: this GGUF file is version 99 but this supports up to 3",
            CorruptModel,
            "GGUF version 99",
        ),
        (
            "0.00.003 E llama_model_load: error loading model: missing tensor 'blk.0.attn_q.weight'",
            CorruptModel,
            "missing tensor 'blk.0.attn_q.weight'",
        ),
        (
            "0.00.003 E gguf_init_from_file: failed to open GGUF file '/m/m.gguf' (No such file or directory)",
            ModelUnavailable,
            "cannot be opened: No such file or directory",
        ),
        (
            "0.23.966 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 51200000000",
            OutOfMemory,
            "not enough memory for a buffer of 48,828 MiB",
        ),
        ("ggml_cuda: cudaMalloc failed: out of memory", OutOfMemory, "not enough memory"),
        (
            "ImportError: libgomp.so.1: cannot open shared object file",
            EngineFailed,
            "library cannot be loaded: libgomp.so.1",
        ),
        (
            "0.00.002 E srv         start: couldn't bind HTTP server socket, hostname: /run/e.sock, port: 0",
            EngineFailed,
            "cannot listen",
        ),
    ],
)
def test_a_known_cause(line: str, kind: type[HearthError], said: str) -> None:
    error = diagnose(line)
    assert type(error) is kind
    assert said in error.what
    assert error.fix
    assert "\n" not in str(error)


def test_a_kill_while_loading_speaks_of_memory() -> None:
    assert "killed the engine while it loaded" in diagnose("", "killed by SIGKILL").what


def test_an_assertion_is_named() -> None:
    error = diagnose(
        "/x/llama-context.cpp:2289: GGML_ASSERT(n_outputs_max <= cparams.n_outputs_max) failed", "killed by SIGABRT"
    )
    assert error.what == "model m: the engine aborted: GGML_ASSERT(n_outputs_max <= cparams.n_outputs_max) failed"


def test_an_unknown_cause_quotes_what_tells_most_and_names_the_log() -> None:
    error = diagnose("0.00.003 E llama_model_load: error loading model: the moon is in the way")
    assert str(error) == (
        "model m: the engine did not start (exit code 70): the moon is in the way · see /logs/engine-m.log"
    )


def test_silence() -> None:
    error = load_error([], "m", "killed by SIGSEGV", "/logs/engine-m.log")
    assert type(error) is EngineFailed
    assert error.what == "model m: the engine did not start (killed by SIGSEGV)"
