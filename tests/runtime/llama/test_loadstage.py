"""What an engine's log tells of a load: what it is at, what it took."""

from __future__ import annotations

import pytest

from hearth.runtime.llama.loadstage import held_bytes, load_stage

GIB = 1 << 30
MIB = 1 << 20
READING = "0.00.016.234 I load_tensors: loading model tensors, this can take a while... (load_mode = mmap)"
WARMING = "0.00.026.291 I cmn  common_init_: warming up the model with an empty run - please wait ..."
LOADED = "0.00.240.349 I srv          init: model loaded"


@pytest.mark.parametrize(
    ("lines", "resident", "told"),
    [
        ([], None, ""),
        (["print_info: n_layer = 6"], GIB, "print_info: n_layer = 6"),
        ([READING], None, "reading weights"),
        ([READING, "more"], 3 * GIB // 2, "reading weights, 1.5 of 4.0 GiB"),
        ([READING], 9 * GIB, "reading weights, 4.0 of 4.0 GiB"),
        ([READING, WARMING], GIB, "warming up"),
        ([READING, WARMING, LOADED, "all slots are idle"], GIB, "making the first token"),
    ],
)
def test_a_load_is_told_in_words(lines: list[str], resident: int | None, told: str) -> None:
    assert load_stage(lines, 4 * GIB, resident) == told


def test_what_it_took_is_summed_by_device() -> None:
    lines = [
        "load_tensors:   CPU_Mapped model buffer size =   100.00 MiB",
        "load_tensors:        CUDA0 model buffer size =  2000.00 MiB",
        "load_tensors:        CUDA1 model buffer size =  1000.00 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =   500.00 MiB",
        "llama_memory_recurrent:      CUDA0 RS buffer size =    50.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =   300.00 MiB",
        "sched_reserve:  CUDA_Host compute buffer size =    20.00 MiB",
    ]
    assert held_bytes(lines) == {"CPU": 120 * MIB, "CUDA0": 2850 * MIB, "CUDA1": 1000 * MIB}
    assert held_bytes(["nothing of that"]) == {}
