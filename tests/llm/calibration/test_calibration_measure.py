"""A calibration against models that are perfect, or fail one item each; the tools and the edits are the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from able_models import AbleModel
from hearth.agent.equipment import make_toolbox
from hearth.errors import EngineFailed, UsageError
from hearth.llm.answer import Failed
from hearth.llm.calibration.editing import FORMS, TEXT_FORMS
from hearth.llm.calibration.items import LONG_CHARACTERS, long_text
from hearth.llm.calibration.measure import Subject, measure
from hearth.llm.calibration.micro_edits import micro_edits
from hearth.llm.calibration.record import Calibration, verdict
from hearth.llm.families import EditFormat
from hearth.llm.profile import profile_for
from hearth.llm.scripted import ScriptedModel, Stall, say
from hearth.settings import ProfileSettings
from hearth.tools.toolbox import Toolbox

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def bench(folder: Path, tool: str) -> Toolbox:
    return make_toolbox(("read", tool), folder)


async def find(model: AbleModel, own: EditFormat = "replace", limit_s: float = 600.0) -> Calibration:
    profile = profile_for("m", own={"m": ProfileSettings(edit=own)})
    return await measure(Subject("m", "", profile, {"chat": model}), bench, NOW, limit_s)


def test_the_micro_edits_are_thirty_and_each_changes_something() -> None:
    edits = micro_edits()
    assert len(edits) == 30
    assert len({edit.wish for edit in edits}) == 30
    assert len({edit.kind for edit in edits[:10]}) == 10
    assert edits == micro_edits()
    for edit in edits:
        assert edit.before != edit.after
        assert len(edit.before) < 700


def test_the_long_text_has_what_gets_lost() -> None:
    for number in (0, 1):
        text = long_text(number)
        assert LONG_CHARACTERS <= len(text) < LONG_CHARACTERS + 200
        assert all(part in text for part in ('\\"', "\\\\", "'", "\t", "\\n", "漢", "🙂", "\\u00e9"))
    assert long_text(0) != long_text(1)


@pytest.mark.slow
async def test_a_perfect_model_is_right_in_everything() -> None:
    model = AbleModel()
    found = await find(model)
    assert (found.calls.right, found.calls.tried) == (3, 3)
    assert (found.parallel.right, found.parallel.tried) == (2, 2)
    assert (found.long.right, found.long.tried) == (2, 2)
    assert found.reasoning.right == 0
    assert found.ended == ""
    assert set(found.edits) == set(FORMS)
    assert all(tally.right == tally.tried for tally in found.edits.values()), found.edits
    assert sorted(tally.tried for tally in found.edits.values()) == [3, 3, 3, 10, 30, 30]
    assert found.edits["replace"].tried == 30
    assert verdict(found) == {"parallel": True, "edit": "replace"}
    assert {request.priority for request in model.requests} == {"batch"}


async def test_a_model_that_never_calls_is_given_up_at_once_and_speaks_text() -> None:
    model = AbleModel("calls")
    found = await find(model)
    assert (found.calls.right, found.calls.tried, found.parallel.tried, found.edits) == (0, 2, 0, {})
    assert found.ended == "no call comes through"
    assert len(model.requests) == 3
    assert verdict(found)["dialect"] == "text"


async def test_text_is_tried_when_there_is_a_way() -> None:
    models = {"chat": AbleModel("calls"), "text": AbleModel()}
    profile = profile_for("m")
    found = await measure(Subject("m", "", profile, models), bench, NOW, 0.5)  # type: ignore[arg-type]  # of one kind
    assert (found.dialect, found.calls.right) == ("text", 3)
    assert verdict(found)["dialect"] == "text"
    neither = {"chat": AbleModel("calls"), "text": AbleModel("result")}
    found = await measure(Subject("m", "", profile, neither), bench, NOW)  # type: ignore[arg-type]  # of one kind
    assert found.dialect == "chat"


async def test_a_model_that_does_not_use_results_fails_the_round_trip() -> None:
    found = await find(AbleModel("result"))
    assert (found.calls.right, found.calls.tried) == (0, 2)


@pytest.mark.slow
async def test_the_text_protocol_is_measured_in_its_own_forms() -> None:
    model = AbleModel("hashline")
    profile = profile_for("codellama:7b")
    found = await measure(Subject("codellama:7b", "", profile, {"text": model}), bench, NOW, 600.0)
    assert list(found.edits) == list(TEXT_FORMS)
    assert (found.own, found.edits["hashline"].right, found.edits["search_replace"].right) == ("search_replace", 0, 30)
    assert verdict(found) == {"dialect": "text", "parallel": True, "edit": "search_replace"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["parallel", "long", "cut"])
async def test_one_fault_is_one_item(fault: str) -> None:
    found = await find(AbleModel(fault))
    assert found.parallel.right == (0 if fault == "parallel" else 2)
    assert found.long.right == (0 if fault in ("long", "cut") else 2)
    assert found.long.note == ("cut off at the limit of an answer" if fault == "cut" else "")
    assert verdict(found)["parallel"] == (fault != "parallel")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
async def test_a_form_that_fails_is_dropped_and_another_taken(form: EditFormat) -> None:
    found = await find(AbleModel(FORMS[form]), own=form)
    assert (found.edits[form].right, found.edits[form].tried) == (0, 3)
    assert verdict(found)["edit"] != form
    assert next(iter(found.edits)) == form


@pytest.mark.slow
async def test_a_model_that_edits_in_no_form_keeps_its_profile() -> None:
    found = await find(AbleModel(*FORMS.values()))
    assert found.ended == "no form of edits comes through"
    assert "edit" not in verdict(found)


@pytest.mark.parametrize(("faults", "echo"), [((), True), (("prefix",), False)])
async def test_reasoning_is_sent_back_when_that_keeps_the_prefix(faults: tuple[str, ...], echo: bool) -> None:
    found = await find(AbleModel(*faults, reasoning="I should read it."), limit_s=0.5)
    assert found.reasoning.right == found.reasoning.tried == 3
    assert found.prefix.possible == found.prefix.possible_without > 0
    assert verdict(found)["echo"] is echo


async def test_the_limit_of_time_ends_it_with_what_was_counted() -> None:
    model = ScriptedModel([say("ok"), say("no"), Stall()])
    profile = profile_for("m")
    found = await measure(Subject("m", "", profile, {"chat": model}), bench, NOW, 0.2)
    assert found.ended == "the time of 0 s was over"
    assert (found.calls.right, found.calls.tried) == (0, 1)
    assert verdict(found) == {}


async def test_an_engine_that_fails_ends_it() -> None:
    found = await find(AbleModel("dead"))
    assert found.calls.right == 0
    assert "no call comes through" in found.ended
    with pytest.raises(EngineFailed, match="out of memory"):
        await measure(
            Subject("m", "", profile_for("m"), {"chat": ScriptedModel([Failed("engine", "out of memory")])}), bench, NOW
        )


async def test_a_dialect_without_a_way_is_said_to_be_so() -> None:
    profile = profile_for("gpt-oss:20b")
    with pytest.raises(UsageError, match="speaks harmony"):
        await measure(Subject("gpt-oss:20b", "", profile, {"chat": AbleModel()}), bench, NOW)
