"""What a conversation is found by: a chain of hashes over all that its prompt is made of, one link a message. A raw
prompt is text that grows: its links are at the marks by which the known templates open a message.

Whoever sends the same messages again finds what was computed for them: our own agent after a restart, and a client
that knows nothing of sessions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

_PROMPT_FIELDS = (
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "chat_template",
    "chat_template_kwargs",
    "reasoning_effort",
    "response_format",
    "json_schema",
    "add_generation_prompt",
    "continue_final_message",
)
"""What a template may show besides the messages. Sampling is no part of a prompt."""
_HEADS = ("system", "developer")
_DIGEST_BYTES = 16
MOST_MESSAGES = 10_000
"""Above it, hashing them would hold up everybody else."""
LONGEST_PIECE = 4096
"""Characters of raw text after which there is a link even without a mark."""
_MARK = re.compile(r"<\|(?:start|im_start|start_header_id|system|user|assistant)\|>|<start_of_turn>|\[INST\]")
_HEAD = re.compile(r"<\|(?:start|im_start|start_header_id)\|>(?:system|developer)\b|<\|system\|>")


@dataclass(frozen=True, slots=True)
class Chain:
    """``keys[n]`` names the conversation up to and with message n, as 32 hex digits; ``sizes[n]`` is how many bytes
    of canonical text that is. ``base`` is how many messages at the head are the system's."""

    keys: tuple[str, ...]
    sizes: tuple[int, ...]
    base: int

    @property
    def base_key(self) -> str:
        """The key of system text and tools; empty when the conversation has no system text."""
        return self.keys[self.base - 1] if self.base else ""


def read_chain(state: str, owner: str, request: Mapping[str, Any]) -> Chain:
    """The chain of one request, a chat or a raw completion.

    ``state`` says what a saved state depends on (model file, engine build, types of the cache); ``owner`` whose it is:
    the states of one owner have no keys that another's requests could meet. ``request`` is the decoded body, its
    ``messages`` a list or its ``prompt`` a text. Nulls and the order of fields do not count: clients differ in both.
    What is nested too deeply or has too many messages has an empty chain: nothing is found by it.
    """
    if "messages" not in request:
        return _read_raw_chain(state, owner, request["prompt"])
    if len(request["messages"]) > MOST_MESSAGES:
        return Chain((), (), 0)
    try:
        return _read_chain(state, owner, request)
    except RecursionError:
        return Chain((), (), 0)


def _read_chain(state: str, owner: str, request: Mapping[str, Any]) -> Chain:
    start = {name: request[name] for name in _PROMPT_FIELDS if request.get(name) is not None}
    text = _canonical([state, owner, start])
    digest = hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
    size = len(text)
    keys, sizes = [], []
    for message in request["messages"]:
        text = _canonical(message)
        digest = hashlib.blake2b(digest + text, digest_size=_DIGEST_BYTES).digest()
        size += len(text)
        keys.append(digest.hex())
        sizes.append(size)
    heads = [isinstance(message, dict) and message.get("role") in _HEADS for message in request["messages"]]
    base = heads.index(False) if False in heads else len(heads)
    return Chain(tuple(keys), tuple(sizes), base)


def split_raw(prompt: str) -> list[str]:
    """A raw prompt in pieces: cut where a message opens, and within long ones at fixed lengths. Joined they are the
    prompt. Those of a prompt that grew begin with the same ones, but for the last."""
    cuts = [0, *(found.start() for found in _MARK.finditer(prompt) if found.start()), len(prompt)]
    return [
        prompt[start : min(start + LONGEST_PIECE, end)]
        for begin, end in pairwise(cuts)
        for start in range(begin, end, LONGEST_PIECE)
    ]


def _read_raw_chain(state: str, owner: str, prompt: str) -> Chain:
    """A link for each piece but the last, which is still open: with a link of its own nothing would ever be saved under
    a name that the next request has. What is one piece has one link."""
    pieces = split_raw(prompt)
    if len(pieces) > MOST_MESSAGES:
        return Chain((), (), 0)
    start = _canonical([state, owner, "raw"])
    digest = hashlib.blake2b(start, digest_size=_DIGEST_BYTES).digest()
    size = len(start)
    keys, sizes = [], []
    for piece in pieces[:-1] or pieces:
        text = piece.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(digest + text, digest_size=_DIGEST_BYTES).digest()
        size += len(text)
        keys.append(digest.hex())
        sizes.append(size)
    return Chain(tuple(keys), tuple(sizes), _count_heads(pieces[: len(keys)]))


def _count_heads(pieces: Sequence[str]) -> int:
    """How many pieces at the beginning are the system's. One without a mark goes on with the message before it."""
    count = 0
    for piece in pieces:
        if not _HEAD.match(piece) and (_MARK.match(piece) or not count):
            break
        count += 1
    return count


def measure_links(chain: Chain, known: Mapping[str, int], tokens: int) -> dict[str, int]:
    """How many tokens each link stands for, when the whole is ``tokens``: as ``known``, else by its share of the text
    between the known ones."""
    measured: dict[str, int] = {}
    before_size, before = 0, 0
    waiting: list[int] = []
    last = len(chain.keys) - 1
    for index, key in enumerate(chain.keys):
        waiting.append(index)
        if key not in known and index != last:
            continue
        end = tokens if index == last else min(known[key], tokens)
        width = max(chain.sizes[index] - before_size, 1)
        for place in waiting:
            share = (chain.sizes[place] - before_size) / width
            measured[chain.keys[place]] = before + round(max(end - before, 0) * share)
        before_size, before = chain.sizes[index], max(end, before)
        waiting = []
    return measured


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(_without_nulls(value), order="sorted")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
