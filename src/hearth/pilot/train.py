"""Trains the pilot from nothing on recorded sessions.

Run as ``python -m hearth.pilot.train FOLDER --minutes N``; FOLDER holds ``vocab.jsonl``, ``train-*.jsonl`` and
``held-out.jsonl`` and receives ``tokenizer.json``, ``pilot.pt`` and ``train.log``.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from hearth.llm.profile import PILOT
from hearth.pilot.data import from_json
from hearth.pilot.network import Pilot, Shape
from hearth.pilot.render import Piece, render_pieces
from hearth.pilot.tokenizer import learn_tokenizer, load_tokenizer

HEARD = -1.0
"""Marks a token that the model hears, among the loss weights of those that it says."""
HEARD_WEIGHT = 0.15
"""Loss weight of what the model hears, against 1 for what it says: it learns to copy from that."""
HEARD_SHARE = 0.7
"""Share of the time in which that counts. Names that nobody can foresee are but noise once copying is learnt."""
COPY_SHARE = 1 / 6
"""Share of batches that are pure copying of random tokens."""
BATCH_TOKENS = 4600
POOL = 96
"""Sessions that are sorted by length before they are cut into batches."""
LONGEST = 3072
PEAK_RATE = 6e-3
"""Loss after 300 steps: 0.77 at 2e-3, 0.53 at 4e-3, 0.47 at 8e-3; Muon at its best of three rates 0.48."""
WARM_UP_STEPS = 100
CONSTANT_SHARE = 0.3
"""Share of the time at the peak rate; then it falls as a cosine. A resumed training holds the peak a tenth of it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One session as tokens, the loss weight of each (or HEARD), and the stretches [start, end) that the model says."""

    kind: str
    tokens: list[int]
    weights: list[float]
    spoken: list[tuple[int, int]]


def encode_session(tokenizer: Tokenizer, line: str) -> Example:
    """Tokenise one recorded session; what is not to be imitated weighs nothing."""
    kind, messages, learn = from_json(line)
    tokens: list[int] = []
    weights: list[float] = []
    spoken: list[tuple[int, int]] = []
    for message, wanted in zip(messages, learn, strict=True):
        for piece in _pieces_of(message):
            ids = tokenizer.encode(piece.text).ids
            if piece.spoken and wanted:
                spoken.append((len(tokens), len(tokens) + len(ids)))
            tokens += ids
            weights += [float(wanted) if piece.spoken else HEARD] * len(ids)
    return Example(kind, tokens, weights, spoken)


def _pieces_of(message: object) -> list[Piece]:
    return list(render_pieces([message], PILOT.tools))  # type: ignore[list-item]  # one message of from_json


class Sessions:
    """The recorded sessions of a folder; reads on in files that still grow."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, rng: random.Random) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._rng = rng
        self._read: dict[Path, int] = {}
        self.examples: list[Example] = []
        self._queue: list[list[Example]] = []
        self._order: list[int] = []

    def refresh(self) -> None:
        """Read the lines that have come since."""
        for path in sorted(self._folder.glob("train-*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    example = encode_session(self._tokenizer, line.decode())
                    if len(example.tokens) <= LONGEST:
                        self.examples.append(example)

    def next_batch(self) -> list[Example]:
        """Sessions of like length, about BATCH_TOKENS together, padding counted."""
        while not self._queue:
            pool = sorted(
                (self.examples[self._next_index()] for _ in range(POOL)), key=lambda example: len(example.tokens)
            )
            batch: list[Example] = []
            for example in pool:
                if batch and (len(batch) + 1) * len(example.tokens) > BATCH_TOKENS:
                    self._queue.append(batch)
                    batch = []
                batch.append(example)
            self._queue.append(batch)
            self._rng.shuffle(self._queue)
        return self._queue.pop()

    def _next_index(self) -> int:
        if not self._order:
            self.refresh()
            self._order = list(range(len(self.examples)))
            self._rng.shuffle(self._order)
        return self._order.pop()


def copy_batch(vocabulary: int, rng: random.Random) -> list[Example]:
    """Random tokens, said twice: the second time counts.

    Half of the texts are of few different tokens, as numbers are: where to go on is then told by more than the last.
    """
    length = int(math.exp(rng.uniform(math.log(8), math.log(400))))
    count = max(1, BATCH_TOKENS // (2 * length + 1) // 2)
    batch = []
    for _ in range(count):
        few = rng.sample(range(vocabulary - 4), min(vocabulary - 4, max(4, length // rng.choice((2, 3, 4)))))
        text = rng.choices(few if rng.random() < 0.5 else range(vocabulary - 4), k=length)
        tokens = [*text, vocabulary - 1, *text]
        batch.append(Example("copy", tokens, [0.0] * (length + 1) + [1.0] * length, []))
    return batch


def stack(batch: list[Example], heard: float) -> tuple[Tensor, Tensor]:
    """Tokens and loss weights, padded to one length: both [batch, time]; ``heard`` is what HEARD weighs now."""
    longest = max(len(example.tokens) for example in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    weights = torch.zeros(len(batch), longest)
    for row, example in enumerate(batch):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        weights[row, : len(example.tokens)] = torch.tensor(example.weights)
    return tokens, weights.masked_fill(weights == HEARD, heard)


def rate_at(done: float, step: int, peak: float, held: float) -> float:
    """The learning rate after a share ``done`` of the time, of which ``held`` is spent at the peak."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    fallen = max(0.0, (done - held) / (1 - held))
    return peak * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * min(1.0, fallen))))


@torch.no_grad()
def judge(pilot: Pilot, examples: list[Example]) -> dict[str, float]:
    """Per kind: the share of spoken messages with every token right, and of sessions with every message right."""
    pilot.eval()
    messages: dict[str, list[bool]] = defaultdict(list)
    sessions: dict[str, list[bool]] = defaultdict(list)
    for example in examples:
        tokens = torch.tensor([example.tokens])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            best = pilot(tokens)[0, :-1].argmax(-1)
        right = [bool((best[start - 1 : end - 1] == tokens[0, start:end]).all()) for start, end in example.spoken]
        messages[example.kind] += right
        sessions[example.kind].append(all(right))
    pilot.train()
    scores = {f"{kind}.messages": sum(right) / len(right) for kind, right in sorted(messages.items()) if right}
    scores |= {f"{kind}.sessions": sum(right) / len(right) for kind, right in sorted(sessions.items())}
    return scores


def train(folder: Path, minutes: float, seed: int, shape_of: dict[str, int], rate: float, resume: bool) -> None:
    """Train for ``minutes`` of wall time, with a checkpoint and a judgement every few minutes.

    ``resume`` starts from the folder's ``pilot.pt`` (its weights; the optimiser starts anew) and learns only from
    what the model says.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = _tokenizer_of(folder)
    shape = Shape(tokenizer.get_vocab_size(), **shape_of)
    pilot = Pilot(shape)
    if resume:
        pilot.load_state_dict(torch.load(folder / "pilot.pt", weights_only=True)["weights"])
    held = CONSTANT_SHARE / 3 if resume else CONSTANT_SHARE
    # Measured on 2 cores: 7,000 tokens/s compiled against 4,500 as is, for two minutes of compiling.
    forward = torch.compile(pilot, dynamic=True)
    sessions = Sessions(folder, tokenizer, rng)
    held_out = [encode_session(tokenizer, line) for line in (folder / "held-out.jsonl").read_text().splitlines()]
    matrices = [p for p in pilot.parameters() if p.dim() == 2]
    vectors = [p for p in pilot.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
    log = (folder / "train.log").open("a")
    start = judged = time.monotonic()
    step = seen = 0
    smooth = 0.0
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        copying = rng.random() < COPY_SHARE
        heard = HEARD_WEIGHT if done < HEARD_SHARE and not resume else 0.0
        tokens, weights = stack(copy_batch(shape.vocabulary, rng) if copying else sessions.next_batch(), heard)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(done, step, rate, held)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = forward(tokens[:, :-1])
        losses = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        loss = (losses * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum().clamp(min=1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pilot.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + tokens.numel()
        if not copying:
            smooth = loss.item() if not smooth else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0:
            spent = time.monotonic() - start
            _write(
                log,
                step=step,
                minutes=round(spent / 60, 2),
                tokens=seen,
                per_s=round(seen / spent),
                loss=round(smooth, 4),
            )
        if time.monotonic() - judged > 600:
            _save(folder, pilot, shape)
            scores = {name: round(score, 3) for name, score in judge(pilot, held_out).items()}
            _write(log, step=step, sessions=len(sessions.examples), **scores)
            judged = time.monotonic()
    _save(folder, pilot, shape)
    _write(log, step=step, tokens=seen, **{name: round(score, 3) for name, score in judge(pilot, held_out).items()})


def _tokenizer_of(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        lines = (folder / "vocab.jsonl").read_text().splitlines()
        texts = (
            "".join(piece.text for message in from_json(line)[1] for piece in _pieces_of(message)) for line in lines
        )
        learn_tokenizer(texts).save(str(path))
    return load_tokenizer(path)


def _save(folder: Path, pilot: Pilot, shape: Shape) -> None:
    temporary = folder / "pilot.pt.part"
    torch.save({"shape": asdict(shape), "weights": pilot.state_dict()}, temporary)
    temporary.replace(folder / "pilot.pt")


def _write(log: object, **fields: object) -> None:
    print(json.dumps(fields), file=log, flush=True)  # type: ignore[call-overload]  # a text file


def main(arguments: list[str]) -> int:
    """Train."""
    parser = argparse.ArgumentParser(prog="hearth.pilot.train", description="Train the pilot from nothing.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="peak learning rate")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's pilot.pt")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--inner", type=int, default=512)
    options = parser.parse_args(arguments)
    shape = {"width": options.width, "heads": options.heads, "inner": options.inner}
    train(options.folder, options.minutes, options.seed, shape, options.rate, options.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
