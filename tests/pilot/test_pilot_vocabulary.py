"""The vocabulary: learnt with names apart, encoded as the engine encodes."""

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hearth.messages import Message
from hearth.pilot.render import CALL, END, START, render_pieces, write_call
from hearth.pilot.tokenizer import learn_tokenizer

TEXTS = [
    f"{START}user\nSet the_rate to {number}{END}\n{CALL}\ngrep the_rate_{number} ______{END}" for number in range(40)
]


def _learn() -> Tokenizer:
    return learn_tokenizer(TEXTS * 5, 430)


TOKENIZER = _learn()


@given(st.text(max_size=200))
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_single_underscores_stand_alone_and_two_digits_together() -> None:
    pieces = TOKENIZER.encode("the_rate_12").tokens
    assert [piece for piece in pieces if "_" in piece] == ["_", "_"]
    assert pieces[-1] == "12"


def test_marks_are_one_token_each() -> None:
    assert TOKENIZER.encode(f"{START}{CALL}{END}").tokens == [START, CALL, END]


def test_a_conversation_renders_as_chatml_with_hermes_calls() -> None:
    call = write_call("edit", path="a", old='"x"', new="y", all=True)
    messages = [
        Message("system", "Be."),
        Message("user", "Do."),
        Message("assistant", "", (call,)),
        Message("tool", "ok"),
    ]
    pieces = list(render_pieces(messages, ["bash", "edit"]))
    assert "".join(piece.text for piece in pieces) == (
        "<|im_start|>system\nBe.\nTools: bash edit<|im_end|>\n<|im_start|>user\nDo.<|im_end|>\n<|im_start|>assistant\n"
        '<tool_call>\n{"name": "edit", "arguments": {"path": "a", "old": "\\"x\\"", "new": "y", "all": true}}\n'
        "</tool_call><|im_end|>\n<|im_start|>tool\nok<|im_end|>\n"
    )
    assert next(piece.text for piece in pieces if piece.spoken).startswith("<tool_call>")
