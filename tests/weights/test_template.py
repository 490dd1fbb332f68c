"""What chat templates show, as a table; any text is read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_models import write_llama
from hearth.weights.card import card_of_file
from hearth.weights.store import PILOT_FILE
from hearth.weights.template import LONGEST_MARKER, MOST_MARKERS, Templates, read_template


@pytest.mark.parametrize(
    ("text", "markers"),
    [
        ("{{ '<|im_start|>' + message.role }}<|im_end|><|im_start|>", ("<|im_start|>", "<|im_end|>")),
        ("{% if tools %}<tool_call>\n<function=' + name + '>", ("tools", "<tool_call>", "tool_call", "<function=")),
        (
            "<｜tool▁calls▁begin｜>[INST] <<SYS>> [/INST][gMASK]<sop>",
            ("<｜tool▁calls▁begin｜>", "[INST]", "<<SYS>>", "[/INST]", "[gMASK]", "<sop>"),
        ),
        ("{% if loop.index0 < messages|length and i > 3 %}{{ messages[0]['role'] }}[idx]", ()),
        ("{{ enable_thinking }}<think></think>", ("enable_thinking", "<think>", "</think>")),
        ("", ()),
    ],
)
def test_special_tokens_and_telling_words_are_found(text: str, markers: tuple[str, ...]) -> None:
    assert read_template(text).markers == markers


def test_what_it_speaks_of() -> None:
    assert (read_template("{{ tools }}").tools, read_template("{{ tools }}").reasoning) == (True, False)
    assert (read_template("<think>").tools, read_template("<think>").reasoning) == (False, True)
    assert read_template("a").digest != read_template("b").digest


@given(st.text(alphabet="<|>[]AB=/ \n'tools", max_size=400) | st.text())
def test_any_text_is_read_and_little_kept(text: str) -> None:
    found = read_template(text)
    assert len(found.markers) <= MOST_MARKERS
    assert all(0 < len(marker) <= LONGEST_MARKER and marker in text for marker in found.markers)


def test_a_file_is_read_once_and_again_when_it_was_replaced(tmp_path: Path) -> None:
    templates = Templates()
    pilot = card_of_file("pilot", PILOT_FILE)
    assert templates.known(pilot) is None
    assert (first := templates.of(pilot)) is not None
    assert templates.known(pilot) is first is templates.of(pilot)
    path = tmp_path / "m.gguf"
    path.write_bytes(b"no model")
    broken = card_of_file("m", path)
    assert templates.of(broken) is None
    write_llama(path)
    assert templates.known(card_of_file("m", path)) is None
