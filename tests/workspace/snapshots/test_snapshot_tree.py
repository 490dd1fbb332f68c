"""Trees: what is written is read, and git takes it for one of its own."""

import os
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.workspace.snapshots.git import ObjectStore
from hearth.workspace.snapshots.tree import Item, blob_id, encode_tree, parse_tree, same, tree_id

NAMES = st.binary(min_size=1, max_size=20).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"_").replace(b"/", b"_"))
) | st.sampled_from([".git", "..", ".", "a:b", "d755:x", "a", "a.b", "a-b", "a\nb"])
IDS = st.text(string.hexdigits.lower()[:16], min_size=40, max_size=40)
ITEMS = st.one_of(
    st.builds(Item, st.just("f"), st.integers(0, 0o7777), IDS),
    st.builds(Item, st.just("d"), st.integers(0, 0o7777), IDS),
    st.builds(Item, st.sampled_from(["l", "x"]), st.just(0), IDS),
)


@given(st.dictionaries(NAMES, ITEMS, max_size=8))
def test_what_is_encoded_is_parsed(items: dict[str, Item]) -> None:
    assert parse_tree(encode_tree(items)) == items


@settings(max_examples=25, deadline=None)
@given(st.lists(st.dictionaries(NAMES, ITEMS, max_size=6), min_size=1, max_size=4))
def test_git_names_trees_as_we_do(trees: list[dict[str, Item]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(Path(folder))
        store.ensure()
        names = [tree_id(encode_tree(items)) for items in trees]
        assert store.write_trees(trees) == names
        with store.reading() as reader:
            assert [reader.tree(name) for name in names] == trees


@pytest.mark.parametrize("raw", [b"100644 x\0" + b"\1" * 20, b"100644 q644:x\0" + b"\1" * 20, b"junk"])
def test_a_tree_of_somebody_else_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"entry|subsection"):
        parse_tree(raw)


def test_blobs_have_the_names_that_git_gives() -> None:
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_folders_are_the_same_whatever_is_in_them() -> None:
    assert same(Item("d", 0o755, "1" * 40), Item("d", 0o755, "2" * 40))
    assert not same(Item("d", 0o755, ""), Item("d", 0o700, ""))
    assert not same(Item("f", 0o644, "1" * 40), Item("f", 0o644, "2" * 40))
    assert not same(None, Item("l", 0, "1" * 40))
