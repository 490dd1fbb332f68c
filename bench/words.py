"""A vocabulary that cuts text as those of models do, for models with random weights: learned from Python's library."""

from __future__ import annotations

import json
import sys
import sysconfig
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import gguf_models  # the writer of test models

SIZE = 8_192
"""Tokens; models have 32,000 to 260,000, so a text has somewhat more of these."""
MOST_FILES = 60


def learn_words() -> tuple[gguf_models.Words, Tokenizer]:
    """The vocabulary for a GGUF, and a tokenizer that counts as the engine will. It takes some seconds."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(folder.glob("*.py"))[:MOST_FILES]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, show_progress=False, initial_alphabet=alphabet)
    learned.train_from_iterator(texts, trainer)
    learned.add_special_tokens(list(gguf_models.SPECIAL))
    model = json.loads(learned.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return gguf_models.Words((*gguf_models.SPECIAL, *tokens), tuple(merges)), learned
