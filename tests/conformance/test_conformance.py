"""One suite for every engine, through the gateway. HEARTH_TEST_OLLAMA, HEARTH_TEST_VLLM and HEARTH_TEST_OPENAI, each
``URL,MODEL`` or ``URL,MODEL,KEY``, add real servers to those of which there are stand-ins."""

from __future__ import annotations

import traceback

import pytest
from engine_checks import CHECKS
from engine_subjects import REAL, SUBJECTS, Subject
from engine_talk import talking


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*SUBJECTS, *REAL], ids=lambda kind: kind.name)
async def test_an_engine_does_all_that_is_asked_of_engines(kind: type[Subject]) -> None:
    wrong = []
    async with talking(kind) as talk:
        for check in CHECKS:
            try:
                assert await check.run(talk) == check.expect(kind)
            except Exception:
                wrong.append(f"{check.title}\n{traceback.format_exc()}")
                await talk.renew()
    assert not wrong, "\n".join(wrong)
