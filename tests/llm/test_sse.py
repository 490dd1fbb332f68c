import itertools

from hypothesis import given
from hypothesis import strategies as st

from hearth.llm.sse import LONGEST_LINE, Comment, Data, Garbage, SseItem, SseReader

EVENTS = (
    b'\xef\xbb\xbfdata: {"a": 1}\n\n: waiting\r\n\r\ndata:no space\r\rdata: two\ndata: lines\n\n'
    b"event: x\nid: 7\nretry: 3\ndata: \xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5\n\n<html>\n\xff\xfe\ndata: cut off"
)


def read(chunks: list[bytes]) -> list[SseItem]:
    reader = SseReader()
    items = [item for chunk in chunks for item in reader.feed(chunk)]
    return items + reader.close()


def test_reads_every_kind_of_line() -> None:
    assert read([EVENTS]) == [
        Data('{"a": 1}'),
        Comment("waiting"),
        Data("no space"),
        Data("two\nlines"),
        Data("ä€🔥"),
        Garbage("<html>"),
        Garbage("\ufffd\ufffd"),
        Data("cut off"),
    ]


@given(st.lists(st.integers(0, len(EVENTS)), max_size=40))
def test_any_chunking_gives_the_same_items(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(EVENTS)]
    chunks = [EVENTS[low:high] for low, high in itertools.pairwise(borders)]
    assert read(chunks) == read([EVENTS])


def test_single_bytes_give_the_same_items() -> None:
    assert read([bytes([byte]) for byte in EVENTS]) == read([EVENTS])


@given(
    st.lists(st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"x", b"\xe2", b"event: y", b"{}"]), max_size=60),
    st.data(),
)
def test_noise_in_any_chunking_is_read_alike_and_never_raises(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    assert read(pieces) == read([whole]) == read([whole[:cut], whole[cut:]])


def test_a_line_without_end_is_given_up() -> None:
    reader = SseReader()
    items = reader.feed(b"data: " + b"x" * LONGEST_LINE)
    assert len(items) == 1
    assert isinstance(items[0], Garbage)
    assert reader.feed(b"\ndata: 1\n\n") == [Data("1")]
