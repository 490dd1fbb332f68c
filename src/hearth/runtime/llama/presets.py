"""How each kind of model runs best: settings of an engine process that follow from model and machine. Pure."""

from __future__ import annotations

import os

import msgspec

from hearth.errors import EngineFailed
from hearth.runtime.engine import own_context
from hearth.runtime.launch import MOST_TOKENS, SMALLEST_CONTEXT, Launch, Speculation
from hearth.runtime.llama.cores import allowed_cores
from hearth.settings import EngineSettings
from hearth.weights.fit_kv import KV_TYPES, Request, kv_bytes
from hearth.weights.hardware import Machine
from hearth.weights.shape import ModelShape

LEAST_SPECULATED = 256 << 20
"""Bytes of weights below which nothing is guessed: such a model makes thousands of tokens a second as it is."""
MOST_CHECKPOINTS = 32
LEAST_CHECKPOINTS = 4
"""Each request makes three: before the last question, a micro batch before the end of the prompt, at its end."""
MOST_SPARE_BYTES = 256 << 20
"""What a spare slot may cost. It costs one more window and state: 13 MiB for gpt-oss-20b, 68 for Qwen3.6-35B-A3B, 166
for Qwen3.6-27B, but 337 for Gemma 3 12B and 821 for Gemma 4 31B (the engine's own account, b11549)."""
HOST_BATCH = 512
_RAM_SHARE = 16
_STEP = 256
_MOST_CACHE_MIB = 8192


def plain_launch(settings: EngineSettings, native_context: int) -> Launch:
    """What the owner's settings ask for, without regard to memory. ``native_context`` is what the model was trained
    for in tokens, 0 when unsaid. Raises EngineFailed when no engine can hold so much."""
    # llama.cpp takes memory for all that is asked, and gives a slot no more than the model was trained for.
    context = max(own_context(native_context, settings.context), SMALLEST_CONTEXT)
    if context * settings.slots > MOST_TOKENS:
        raise EngineFailed(
            f"a context of {context:,} tokens in {settings.slots} slots is more than an engine can hold, "
            f"{MOST_TOKENS:,} in all",
            "set a smaller context (HEARTH_CONTEXT) or fewer slots (HEARTH_SLOTS)",
        )
    return Launch(
        context=context,
        slots=settings.slots,
        threads=min(settings.threads or allowed_cores(), 512),
        cache_ram_mib=_cache_mib(),
    )


def _cache_mib() -> int:
    """Host memory for prompts that lost their slot: an eighth of the machine's, at most the engine's own default."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MOST_CACHE_MIB, total // 8 // (1 << 20))


def preset(shape: ModelShape, launch: Launch, machine: Machine) -> Launch:
    """The launch as such a model runs best on such a machine. What an answer depends on, where layers lie and threads
    are left as they are.

    - Batches: on the processor alone one of 2,048 tokens may take a minute, in which neighbours get no token and nobody
      sees progress; of 512 it is read as fast. ``micro_batch`` is what memory was counted with, and stays.
    - Flash attention: the engine's choice, but a quantised cache needs it.
    - Speculation: repeated text is guessed from what was said before (``ngram-mod``). Answers stay the same up to the
      rounding of larger batches, on dense, windowed and recurrent models, greedy too, after a restore too; the endless
      loop of llama.cpp issue 23268 came from two ways at once, which is never done. Asked for the blocks that predict
      ahead (``draft-mtp``), they are used if the model has them.
    - ``cache_reuse`` is off unless asked for: a piece that is moved was computed after other text, so the answer is
      another than that of the same prompt read anew (8 of 8 in a trial), and would be saved under its name.
    """
    return msgspec.structs.replace(
        launch,
        batch=max(launch.micro_batch, HOST_BATCH) if _on_host(launch, machine) else launch.batch,
        flash="on" if KV_TYPES[launch.kv_type] < KV_TYPES["f16"] else launch.flash,
        speculation=_speculation(shape, launch),
        cache_reuse=launch.cache_reuse if not keeps_states(shape) else 0,
        spare=window_bytes(shape, launch) <= MOST_SPARE_BYTES,
        **_checkpoints(shape, launch, machine),
    )


def _on_host(launch: Launch, machine: Machine) -> bool:
    return not machine.gpus or launch.gpu_layers == 0


def keeps_states(shape: ModelShape) -> bool:
    """Whether it cannot go back in what it keeps of the past."""
    return shape.recurrent is not None or any(group.window for group in shape.kv)


def window_bytes(shape: ModelShape, launch: Launch) -> int:
    """Windows and states of one slot: what one more slot of a shared pool costs, and one checkpoint."""
    windows = sum(
        group.layers * group.elements * min(group.window, launch.context) for group in shape.kv if group.window
    )
    states = shape.recurrent
    held = states.layers * (states.conv_elements + states.state_elements) * 4 if states else 0
    return int(windows * KV_TYPES[launch.kv_type]) + held


def _speculation(shape: ModelShape, launch: Launch) -> Speculation:
    if launch.speculation == "draft-mtp" and shape.nextn_layers:
        return "draft-mtp"
    return "ngram-mod" if not 0 < shape.tensor_bytes < LEAST_SPECULATED else "none"


def _checkpoints(shape: ModelShape, launch: Launch, machine: Machine) -> dict[str, int]:
    """How many states a slot keeps to go back to, and how far apart at least.

    The engine fills the list within a dozen turns whatever the distance, and only then thins it out. So the number is
    what the RAM bears, and what a saved state may grow by: no more than its cache at full context. The distance spreads
    them over the whole context. Measured with 24 turns of 450 tokens, 32 checkpoints: whoever changes the last answer
    reads the same 430 tokens anew at any distance; whoever goes back six to eighteen turns 710 to 8,070 at the engine's
    8,192, at most 790 at 256, 1,640 at 1,024.
    """
    one = window_bytes(shape, launch)
    if not keeps_states(shape):
        return {"checkpoints": 0, "checkpoint_step": launch.checkpoint_step}
    cache = kv_bytes(shape, Request(launch.context, launch.kv_type))
    bears = min(max(cache, one), machine.ram_bytes // _RAM_SHARE // launch.slots)
    count = min(MOST_CHECKPOINTS, max(LEAST_CHECKPOINTS, bears // max(one, 1)))
    step = -(-launch.context // count // _STEP) * _STEP
    return {"checkpoints": count, "checkpoint_step": max(step, _STEP)}
