"""Damaged headers: each is refused in our own words or read, with bounded work. Seeded: a failure comes again."""

import re
import signal
import struct
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import gguf
import pytest

from gguf_samples import CountingSource
from hearth.errors import CorruptModel
from hearth.weights.gguf import Gguf, read_gguf, read_gguf_from
from hearth.weights.gguf_cursor import LARGEST_CHUNK

HANGS_AFTER_S = 30
LARGEST_MEMORY = 256 << 20
LARGEST_LIST = 16 << 20
"""Bytes: the empty texts that a list may have where the file goes on with zeros."""

WILD = (
    0,
    1,
    2,
    4,
    8,
    9,
    13,
    33,
    0xFFFF,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 61,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)


@dataclass(frozen=True)
class Sample:
    """A whole header. ``numbers`` are its counts, lengths, kinds, dimensions, offsets and values: place and size;
    ``seams`` are where entries and rows begin."""

    head: bytes
    size_bytes: int
    numbers: list[tuple[int, int]]
    seams: list[int]


def sample(path: Path) -> Sample:
    reader = gguf.GGUFReader(path)
    fields = [field for field in reader.fields.values() if not field.name.startswith("GGUF.")]
    fields += [tensor.field for tensor in reader.tensors]
    numbers = [(4, 4), (8, 8), (16, 8)]
    end = 24
    for field in fields:
        end = field.offset
        for part in field.parts:
            if part.itemsize > 1:
                numbers += [(end + index * part.itemsize, part.itemsize) for index in range(len(part))]
            end += part.nbytes
    seams = [*(field.offset for field in fields), end]
    return Sample(path.read_bytes()[:end], path.stat().st_size, numbers, seams)


@pytest.fixture(scope="module")
def samples(sample_files: list[Path]) -> list[Sample]:
    return [sample(path) for path in sample_files]


def flip_bits(random: Random, head: bytearray, _: Sample, __: list[Sample]) -> None:
    for _ in range(random.randint(1, 4)):
        head[random.randrange(len(head))] ^= 1 << random.randrange(8)


def scribble(random: Random, head: bytearray, _: Sample, __: list[Sample]) -> None:
    at = random.randrange(len(head))
    size = random.randint(1, 16)
    head[at : at + size] = random.randbytes(random.choice((size, random.randint(0, 16))))


def cut(random: Random, head: bytearray, _: Sample, __: list[Sample]) -> None:
    del head[random.randrange(len(head)) :]


def overwrite_a_number(random: Random, head: bytearray, whole: Sample, _: list[Sample]) -> None:
    for _ in range(random.randint(1, 2)):
        at, size = random.choice(whole.numbers)
        old = int.from_bytes(head[at : at + size], "little")
        new = random.choice((*WILD, old + 1, old - 1, old * 2, whole.size_bytes, random.getrandbits(size * 8)))
        head[at : at + size] = (new % (1 << size * 8)).to_bytes(size, "little")


def splice(random: Random, head: bytearray, whole: Sample, samples: list[Sample]) -> None:
    other = random.choice(samples)
    first, last = sorted(random.choices(other.seams, k=2))
    begin, end = sorted(random.choices(whole.seams, k=2))
    head[begin : random.choice((begin, end))] = other.head[first:last]
    if random.random() < 0.7:
        # So that the counts let the spliced entries and rows be read.
        head[8:24] = struct.pack("<QQ", random.randint(0, 60), random.randint(0, 60))


MUTATIONS = (flip_bits, scribble, cut, *[overwrite_a_number] * 4, splice, splice)


def damaged(seed: int, samples: list[Sample]) -> tuple[bytes, int]:
    """A header with one to three kinds of damage, and the size of its file."""
    random = Random(seed)
    whole = random.choice(samples)
    head = bytearray(whole.head)
    for mutate in random.choices(MUTATIONS, k=random.choice((1, 1, 1, 2, 3))):
        if head:
            mutate(random, head, whole, samples)
    sizes = [len(head)] if len(head) < len(whole.head) else [whole.size_bytes, len(head)]
    return bytes(head), random.choice((*sizes, 1 << 40))


class Hung(BaseException):
    """A read went on and on. No Exception, so that nothing takes it for an error of the file."""


@contextmanager
def ended() -> Iterator[None]:
    """Ends what hangs."""

    def hang(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read(source: CountingSource) -> Gguf | CorruptModel:
    """Any error but ours passes through."""
    try:
        with ended():
            return read_gguf_from(source, "m.gguf")
    except CorruptModel as error:
        return error


def judge(seed: int, samples: list[Sample]) -> str:
    """Read one damaged header: what was said, without its numbers and names."""
    head, size_bytes = damaged(seed, samples)
    source = CountingSource(head, size_bytes)
    outcome = read(source)
    if isinstance(outcome, Gguf):
        check(outcome)
        said = "read"
    else:
        assert str(outcome).isprintable(), seed
        assert len(str(outcome)) < 600, seed
        assert re.search(r"byte \d|is empty|is not a GGUF", outcome.what), (seed, outcome.what)
        said = re.sub(r"'.*'|\".*\"|\d[\d,]*", "#", outcome.what)
    # The work follows from what is read: the reader only goes forward, and asks for no more than the file and limits.
    assert source.moved_forward_only(), seed
    assert source.asked <= len(head) + LARGEST_LIST + LARGEST_CHUNK, seed
    assert all(size <= LARGEST_CHUNK for _, size in source.reads), seed
    return said


def check(model: Gguf) -> None:
    """What is read holds together."""
    assert model.header_bytes <= model.size_bytes
    places = sorted((tensor.offset, tensor.offset + tensor.size_bytes) for tensor in model.tensors if tensor.size_bytes)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert all(model.header_bytes <= start and end <= model.size_bytes for start, end in places)
    assert all((tensor.offset - model.header_bytes) % model.alignment == 0 for tensor in model.tensors)
    assert len({tensor.name for tensor in model.tensors}) == len(model.tensors)


def test_the_samples_themselves_are_read(samples: list[Sample]) -> None:
    for whole in samples:
        check(read_gguf_from(CountingSource(whole.head, whole.size_bytes)))


def test_600_damaged_headers(samples: list[Sample]) -> None:
    outcomes = Counter(judge(seed, samples) for seed in range(600))
    # Harmless damage (in texts and values) is read; the rest is refused for many reasons.
    assert 20 < outcomes["read"] < 400
    assert len(outcomes) > 15


def test_damaged_files_fail_as_damaged_headers_do(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for seed in range(100_000, 100_150):
        head, _ = damaged(seed, samples)
        path.write_bytes(head)
        outcomes = []
        for act in (lambda: read_gguf(path), lambda head=head: read_gguf_from(CountingSource(head), str(path))):
            try:
                outcomes.append(act())
            except CorruptModel as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1], seed


def test_memory_stays_bounded(samples: list[Sample]) -> None:
    tracemalloc.start()
    try:
        for seed in range(200_000, 200_100):
            judge(seed, samples)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LARGEST_MEMORY


@pytest.mark.slow
def test_20_000_damaged_headers(samples: list[Sample]) -> None:
    outcomes = Counter(judge(seed, samples) for seed in range(1_000_000, 1_020_000))
    assert outcomes.total() == 20_000
    assert len(outcomes) > 25
