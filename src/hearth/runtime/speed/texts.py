"""What a model is given to read: made up from a seed, so that no two rounds meet the same and nothing is there already.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

SAMPLE = """\
def total_weight(crates, empty_weight=0.0):
    \"\"\"The weight of all crates together in kilograms, less what the empty ones weigh.\"\"\"
    weight = 0.0
    for number, crate in enumerate(crates):
        if crate is None or crate.weight <= empty_weight:
            raise ValueError(f"crate {number} has no weight: {crate!r}")
        weight += crate.weight - empty_weight
    return round(weight, 3)

The harbour was quiet when the first boat came in with the morning tide. Its crew had been out for three days, and the
hold was full. "Tie her up at the second bollard," somebody called, "the wind will turn before noon." A gull sat on the
rail and looked at the nets; nobody chased it away. By eight o'clock the market had opened, prices were low (4.20 a
kilo, 15 % less than on Monday), and two lorries waited on the quay with their engines running.

| item | count | price |
|------|------:|------:|
| rope | 12 | 3.50 |
| lamp | 7 | 18.00 |
"""
_STEMS = (
    "anchor", "beacon", "cargo", "depth", "engine", "ferry", "gauge", "hull", "island", "jetty", "keel", "lantern",
    "mast", "net", "oar", "pilot", "quay", "rudder", "sail", "tide", "vessel", "winch",
)  # fmt: skip
_LINES = 18


def random_tokens(words: Sequence[int], count: int, seed: str) -> list[int]:
    """So many tokens of a model's own, in an order that only this seed gives."""
    return Random(seed).choices(words, k=count)


def repeating_request(seed: str) -> dict[str, object]:
    """A chat request whose answer repeats nearly all of its prompt, as an edit of a file does."""
    random = Random(seed)
    names = [f"{first}_{second}" for first in _STEMS for second in _STEMS if first != second]
    random.shuffle(names)
    old, new, *others = names
    lines = [f"{other} = measure({old}, {random.randrange(10, 1000)})" for other in others[:_LINES]]
    text = "\n".join([f"{old} = read_log()", *lines, f"report({old}, {', '.join(others[:4])})"])
    question = (
        f"Rename {old} to {new} in this file. Answer with the whole file and nothing else.\n\n```python\n{text}\n```"
    )
    return {
        "messages": [{"role": "user", "content": question}],
        # A model that thinks first would be measured thinking.
        "chat_template_kwargs": {"enable_thinking": False},
    }
