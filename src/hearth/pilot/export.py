"""Writes the trained pilot as a GGUF that llama.cpp runs.

Run as ``python -m hearth.pilot.export FOLDER OUT.gguf``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer

from hearth import __version__
from hearth.pilot.network import Shape
from hearth.pilot.render import END, TEMPLATE
from hearth.pilot.tokenizer import CONTROL, SPELT, load_tokenizer

ARCHITECTURE = "lfm2"


def export_pilot(folder: Path, target: Path) -> None:
    """Write ``pilot.pt`` and ``tokenizer.json`` of a training folder as one GGUF, atomically."""
    saved = torch.load(folder / "pilot.pt", weights_only=True)
    shape = Shape(**saved["shape"])
    part = target.with_suffix(".part")
    writer = gguf.GGUFWriter(part, ARCHITECTURE)
    _write_facts(writer, shape)
    _write_tokenizer(writer, load_tokenizer(folder / "tokenizer.json"))
    for name, weights in map_tensors(saved["weights"], shape).items():
        # Vectors stay F32: the engine's norms and convolutions want them so, and they are small.
        kind = np.float32 if weights.dim() == 1 or "shortconv.conv" in name else np.float16
        writer.add_tensor(name, weights.float().numpy().astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)


def map_tensors(weights: dict[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    """PyTorch's weights under the names of llama.cpp's lfm2."""
    mapped = {"token_embd.weight": weights["embedding.weight"], "token_embd_norm.weight": weights["norm.weight"]}
    names = {
        "mixer_norm.weight": "attn_norm.weight",
        "ffn_norm.weight": "ffn_norm.weight",
        "gate.weight": "ffn_gate.weight",
        "up.weight": "ffn_up.weight",
        "down.weight": "ffn_down.weight",
    }
    convolution = {
        "mixer.in_proj.weight": "shortconv.in_proj.weight",
        "mixer.conv": "shortconv.conv.weight",
        "mixer.out_proj.weight": "shortconv.out_proj.weight",
    }
    attention = {
        "mixer.q.weight": "attn_q.weight",
        "mixer.k.weight": "attn_k.weight",
        "mixer.v.weight": "attn_v.weight",
        "mixer.out.weight": "attn_output.weight",
        "mixer.q_norm.weight": "attn_q_norm.weight",
        "mixer.k_norm.weight": "attn_k_norm.weight",
    }
    for block in range(shape.blocks):
        for ours, theirs in {**names, **(attention if block % 2 else convolution)}.items():
            mapped[f"blk.{block}.{theirs}"] = weights[f"blocks.{block}.{ours}"]
    return mapped


def _write_facts(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("pilot")
    writer.add_description("The tiny model that ships with hearth; trained from nothing by its own code.")
    writer.add_version(__version__)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.blocks)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    # A block without KV heads is a convolution to the engine.
    writer.add_head_count_kv([shape.heads if block % 2 else 0 for block in range(shape.blocks)])
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_shortconv_l_cache(shape.taps)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])]
    kinds = {**dict.fromkeys(CONTROL, gguf.TokenType.CONTROL), **dict.fromkeys(SPELT, gguf.TokenType.USER_DEFINED)}
    end = tokens.index(END)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def main(arguments: list[str]) -> int:
    """Export."""
    parser = argparse.ArgumentParser(prog="hearth.pilot.export", description="Write the trained pilot as a GGUF.")
    parser.add_argument("folder", type=Path, help="the training folder")
    parser.add_argument("target", type=Path, help="the GGUF to write")
    options = parser.parse_args(arguments)
    export_pilot(options.folder, options.target)
    print(f"{options.target}: {options.target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
