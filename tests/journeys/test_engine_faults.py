"""Engines that fail in every way under several clients: 500 seeds in this process, some with engines in their own.

``HEARTH_SEED=7`` plays one seed alone. What is asked of each story, ``engine_faults`` says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import engine_faults
import gguf_models

# Before the fixture of all tests clears the environment.
SEED = os.environ.get("HEARTH_SEED")
SEEDS = 500
REAL_SEEDS = 10


def seeds(count: int) -> list[int]:
    return [int(SEED)] if SEED else list(range(count))


@pytest.fixture
def model_file(home: Path) -> Path:
    return gguf_models.write_llama(home / "model.gguf")


def report(stories: list[engine_faults.Story]) -> str:
    """What is wrong, a line for each seed, with what plays it again."""
    wrong = [f"HEARTH_SEED={story.seed}: {'; '.join(story.wrong)}" for story in stories if story.wrong]
    return "\n".join(wrong)


async def test_every_request_ends_and_every_engine_comes_back(home: Path, model_file: Path) -> None:
    stories = await engine_faults.play_many(seeds(SEEDS), home, model_file, scale=1 / 40, at_once=80)
    print(engine_faults.table(stories))
    assert not report(stories)


async def test_the_same_with_engines_in_processes_of_their_own(home: Path, model_file: Path) -> None:
    stories = await engine_faults.play_many(seeds(REAL_SEEDS), home, model_file, scale=1 / 10, at_once=4, real=True)
    print(engine_faults.table(stories))
    assert not report(stories)
