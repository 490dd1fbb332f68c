"""The pilot's byte-level BPE, small on purpose: unseen names are spelt in pieces that were seen a thousand times.

The merges are learnt with digits, single ``_`` and the space before a word set apart: so a name is spelt with the same
pieces wherever it stands, after a space, a quote or a slash, and can be copied piece by piece. (With the space inside
the first piece, the first piece was what went wrong.) Constants are names in capitals, so capitals have merges of
their own, and two digits are one piece: single letters and digits repeat within a word, and a repeated piece is where
a copy goes astray. Encoding then uses plain GPT-2 splitting, which is what the engine does for a GGUF of tokenizer
type ``gpt2``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from hearth.pilot.render import CALL, CALL_END, END, START

CONTROL = (START, END)
"""Never shown as text."""
SPELT = (CALL, CALL_END)
"""One token each, shown as text: the engine's parser looks for them."""
VOCABULARY = 1024
_NAME = re.compile(r"(?<![A-Za-z_])(?!test_)[a-z]+(?:_[a-z]+)+(?![A-Za-z_])")
_DIGIT_PAIRS = [(first, second) for first in "0123456789" for second in "0123456789"]


def learn_tokenizer(texts: Iterable[str], size: int = VOCABULARY) -> Tokenizer:
    """Learn the merges from rendered sessions whose names are all made up."""
    learner = Tokenizer(models.BPE())
    apart = pre_tokenizers.Split(Regex("[0-9]|(?<!_)_(?!_)| (?=[A-Za-z])"), "isolated")
    learner.pre_tokenizer = pre_tokenizers.Sequence([apart, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CONTROL) - len(SPELT) - len(_DIGIT_PAIRS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # The marks are single tokens: they must not teach merges of their own.
    marks = [*CONTROL, *SPELT]
    learner.train_from_iterator((piece for text in texts for piece in _split(text, marks)), trainer)
    learned = json.loads(learner.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learned["merges"]]
    vocabulary = learned["vocab"]
    for pair in _DIGIT_PAIRS:
        vocabulary["".join(pair)] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[*merges, *_DIGIT_PAIRS]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer that ``Tokenizer.save`` wrote."""
    return Tokenizer.from_file(str(path))


def _split(text: str, marks: list[str]) -> list[str]:
    for mark in marks:
        text = text.replace(mark, "\0")
    pieces = [piece for piece in text.split("\0") if piece]
    # The same names in capitals, so that the capitals' merges are as many and as long.
    return pieces + [" ".join(_NAME.findall(piece)).upper() for piece in pieces]
