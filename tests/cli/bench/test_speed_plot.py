"""A measurement as an SVG and as lines of text."""

import re
import xml.etree.ElementTree as ET

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hearth.cli.bench.plot import draw, nice_top
from hearth.cli.bench.text import describe
from hearth.runtime.launch import Launch
from hearth.runtime.speed.report import Candidate, FirstToken, Point, Side, SpeedReport
from hearth.runtime.speed.tuning import Change, Tuned

BASE = Side(
    Launch(context=16_384, slots=2),
    (Point(512, 812.4, 42.0), Point(2048, 640.0, 33.3)),
    FirstToken(4096, 6.32, 0.081, 0.093),
)
BEST = Side(
    Launch(context=16_384, slots=2, micro_batch=256),
    (Point(512, 1020.0, 41.5), Point(2048, 801.0, 33.0)),
    FirstToken(4096, 5.1, 0.08, None),
)
REPORT = SpeedReport(
    model='qwen "3" <4b>',
    build="1",
    machine="8 cores, 32.00 GiB of RAM, no graphics card",
    file_bytes=2_400_000_000,
    base=BASE,
    best=BEST,
    tuned=Tuned((Change("micro_batch", 512, 256),)),
    tried=(
        Candidate("flash", "off", "auto", "both", "no better", -0.12),
        Candidate("micro_batch", 256, 512, "prefill", "kept", 0.253),
        Candidate("threads", 4, 8, "decode", "left out", 0.0, "no time for it"),
    ),
    notes=("a note",),
    rounds=3,
    took_s=192.0,
    limit_s=300.0,
    stored=True,
    plot="/somewhere/m.svg",
)
ALONE = msgspec.structs.replace(REPORT, best=None, tuned=Tuned(()))


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_has_every_number_with_its_axis() -> None:
    found = texts(draw(REPORT))
    assert 'qwen "3" <4b>' in found
    assert {"Prefill, tokens a second", "Decode, tokens a second", "First token, seconds (log)"} <= set(found)
    assert {"812", "1,020", "640", "801", "42", "41.5", "33.3", "33"} <= set(found)
    assert {"6.3", "5.1", "0.081", "0.08", "0.093", "-"} <= set(found)
    assert found.count("512") == found.count("2,048") == 2
    assert {"as it was", "tuned", "cold", "warm", "restored", "prompt of 4,096 tokens"} <= set(found)


def test_a_picture_of_one_side_or_without_waits_is_well_formed() -> None:
    assert "tuned" not in texts(draw(ALONE))
    unmeasured = msgspec.structs.replace(REPORT, best=Side(BEST.launch, (), None))
    assert "tuned" not in texts(draw(unmeasured))
    cut = msgspec.structs.replace(REPORT, best=Side(BEST.launch, BEST.points[:1], None))
    assert "tuned" in texts(draw(cut))
    assert "1,020 tok/s" in "\n".join(describe(cut))
    hasty = msgspec.structs.replace(ALONE, base=Side(BASE.launch, BASE.points[:1], None))
    assert "First token: no time to measure" in texts(draw(hasty))


speeds = st.floats(0.01, 1e6)
sides = st.builds(
    Side,
    st.just(BASE.launch),
    st.tuples(st.builds(Point, st.just(512), speeds, speeds), st.builds(Point, st.just(2048), speeds, speeds)),
    st.builds(FirstToken, st.just(4096), st.floats(1e-4, 1e3), st.floats(1e-4, 1e3), st.none() | st.floats(1e-4, 1e3)),
)


@given(sides, sides, st.text(max_size=40).filter(str.isprintable))
def test_any_measurement_is_drawn_within_its_frame(base: Side, best: Side, name: str) -> None:
    svg = draw(msgspec.structs.replace(REPORT, base=base, best=best, model=name))
    ET.fromstring(svg)
    height = [float(value) for value in re.findall(r'c?y="([-0-9.e]+)"', svg)]
    assert min(height) >= 0
    assert max(height) <= 420
    assert all(float(value) >= 0 for value in re.findall(r'height="([-0-9.e]+)"', svg))


@given(st.floats(1e-3, 1e9))
def test_an_axis_ends_at_a_number_that_one_can_read(most: float) -> None:
    top = nice_top(most)
    assert most <= top * 1.000001
    assert top <= 1.6 * most


def test_the_text_tells_what_was_tried_what_came_of_it_and_what_is_kept() -> None:
    lines = describe(REPORT)
    text = "\n".join(lines)
    assert re.search(r"flash off +auto +-12% a step +no better$", text, re.MULTILINE)
    assert re.search(r"micro batch 256 +512 +\+25% prefill +kept$", text, re.MULTILINE)
    assert re.search(r"threads 4 +8 +left out: no time for it$", text, re.MULTILINE)
    assert re.search(r"prefill up to 512 +812 tok/s +1,020 tok/s +\+26%$", text, re.MULTILINE)
    assert re.search(r"decode at 2,048 +33.3 tok/s +33.0 tok/s +-1%$", text, re.MULTILINE)
    assert re.search(r"first token of 4,096, cold +6.320 s +5.100 s +\+24%$", text, re.MULTILINE)
    assert re.search(r"first token, restored +0.093 s +-$", text, re.MULTILINE)
    assert "kept: micro batch 256; used from the next load" in lines
    assert lines[-1] == "took 3 min 12 s, each figure measured 3 times"
    assert "note: a note" in lines


def test_the_text_of_a_model_that_is_best_as_it_is() -> None:
    text = "\n".join(describe(msgspec.structs.replace(ALONE, tried=())))
    assert "nothing was faster by more than the noise" in text
    assert "tuned" not in text
    assert "found, and not kept: micro batch 256" in describe(msgspec.structs.replace(REPORT, stored=False))
