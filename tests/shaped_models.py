"""Models of every kind of memory: small ones that a test can load, and the shapes of well-known ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shaped_attention import deepseek2, gemma3, gemma4, gpt_oss, llama, qwen3moe
from shaped_gguf import Kind, Shaped, write
from shaped_hybrids import granite_hybrid, lfm2, nemotron_h, qwen35


def write_small(path: Path, name: str, *, hollow: bool = False) -> Path:
    """Write one of the small models: with random weights, or with a hole when ``hollow``."""
    return write(path, small_models()[name](), hollow=hollow)


def small_models() -> dict[str, Callable[[], Shaped]]:
    """Small enough to be loaded in a test (30 to 140 MB), one of each kind of memory."""
    words = 8192
    lengths = {"heads": 8, "kv_heads": (4, 1), "lengths": (128, 256), "width": 1536}
    net = {"rank": 16, "groups": 8, "state": 64}
    mamba = {"inner": 1024, "rank": 16}
    return {
        "mha-untied": lambda: llama("attention of all heads", 512, 6, words, 8, 8, 1408),
        "mha-tied": lambda: llama("the embedding is the output", 512, 6, words, 8, 8, 1408, tied=True),
        "gqa-untied": lambda: llama("grouped heads", 1024, 4, words, 16, 4, 2816, kind=Kind.Q8_0),
        "gqa-tied": lambda: llama("grouped heads, tied", 1024, 4, words, 16, 2, 2816, kind=Kind.Q8_0, tied=True),
        "mqa-q4": lambda: llama("one key head; four-bit weights", 1024, 4, words, 16, 1, 2816, kind=Kind.Q4_0),
        "moe": lambda: qwen3moe("experts", 512, 6, words, 8, 2, 128, 16, 4, 256),
        "moe-mixtral": lambda: llama("few, large experts", 512, 4, words, 8, 2, 1024, experts=4),
        "mla-moe": lambda: deepseek2("latent cache", 512, 6, words, 8, 8, 2, 256, dense_width=2048, latent=256),
        "swa-moe": lambda: gpt_oss("a window in half of the layers", 512, 8, words, 16, 4, 8, 256),
        "swa": lambda: gemma3("a window in five of six layers, tied", 640, 12, words, 4, 1, 256, 2048),
        "swa-two-lengths": lambda: gemma4("heads of two lengths, tied", 512, 12, words, **lengths),
        "swa-shared": lambda: gemma4("the last layers share a cache", 512, 12, words, **lengths, shared=6),
        "delta-net": lambda: qwen35("gated delta net", 512, 8, words, 8, 2, 128, 1408, **net),
        "delta-net-moe": lambda: qwen35(
            "the same with experts, and a block that predicts ahead", 512, 8, words, 8, 2, 128, 128,
            experts=8, used=2, shared_width=128, nextn=1, **net),
        "mamba-moe": lambda: nemotron_h(
            "Mamba, attention, experts", 512, "MEM*EMEM*E", words, 8, 2, 64, 8, 2, 256, 512, **mamba),
        "mamba": lambda: granite_hybrid("Mamba and dense, tied", 512, 12, words, 8, 2, 64, 1024, **mamba),
        "short-convolution": lambda: lfm2("short convolutions, tied", 512, 9, words, 8, 2, 1408),
    }  # fmt: skip


def real_shapes() -> dict[str, Callable[[], Shaped]]:
    """Shapes of well-known models, to be written hollow."""
    q4 = Kind.Q4_K
    nemotron = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
    return {
        "codellama-34b": lambda: llama("GQA", 8192, 48, 32_000, 64, 8, 22_016, kind=q4),
        "codellama-13b": lambda: llama("MHA", 5120, 40, 32_016, 40, 40, 13_824, kind=q4),
        "llama-3.1-8b": lambda: llama("GQA, large vocabulary", 4096, 32, 128_256, 32, 8, 14_336, kind=q4),
        "qwen3-coder-30b": lambda: qwen3moe("MoE", 2048, 48, 151_936, 32, 4, 128, 128, 8, 768, q4),
        "glm-4.7-flash": lambda: deepseek2("MLA, MoE", 2048, 47, 154_880, 20, 64, 4, 1536, q4),
        "gpt-oss-20b": lambda: gpt_oss("SWA, MoE", 2880, 24, 201_088, 64, 8, 32, 2880, Kind.MXFP4),
        "gemma3-12b": lambda: gemma3("SWA, tied", 3840, 48, 262_208, 16, 8, 256, 15_360, q4),
        "gemma4-31b": lambda: gemma4(
            "SWA, two lengths, tied", 5376, 60, 262_144, 32, (16, 4), (256, 512), 21_504, q4),
        "qwen3.6-27b": lambda: qwen35("delta net", 5120, 64, 248_320, 24, 4, 256, 17_408, q4, rank=48),
        "qwen3.6-35b-a3b": lambda: qwen35(
            "delta net, MoE", 2048, 40, 248_320, 16, 2, 256, 512, q4, experts=256, shared_width=512),
        "nemotron-3-nano": lambda: nemotron_h(
            "Mamba, MoE", 2688, nemotron, 131_072, 32, 2, 128, 128, 6, 1856, 3712, Kind.Q8_0),
        "lfm2-1.2b": lambda: lfm2("short convolutions, tied", 2048, 16, 65_536, 32, 8, 8192, q4),
    }  # fmt: skip
