"""What was tuned is kept for one file, build and machine, and applied to nothing else."""

import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import StateError
from hearth.runtime.launch import Launch
from hearth.runtime.speed.tuning import Change, Tuned, TuningBook, difference, mark_of
from hearth.weights.card import ModelCard, card_of_file
from hearth.weights.hardware import Machine, describe_machine

BUILD = "llama.cpp 1"
TUNED = Tuned((Change("micro_batch", 512, 256), Change("flash", "auto", "off")), prefill_per_s=100.0, decode_per_s=9.5)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    (tmp_path / "m.gguf").write_bytes(b"weights")
    return card_of_file("m", tmp_path / "m.gguf")


@pytest.fixture
def book(tmp_path: Path) -> TuningBook:
    return TuningBook(tmp_path / "bench")


def machine(cores: int = 8) -> Machine:
    return replace(describe_machine((), 16 << 30), cores=cores, cpu_features=("avx2",))


def test_what_is_kept_is_found_again(card: ModelCard, book: TuningBook, tmp_path: Path) -> None:
    assert book.find(card, BUILD, "here") is None
    book.keep(card, BUILD, "here", TUNED)
    found = TuningBook(tmp_path / "bench").find(card, BUILD, "here")
    assert found is not None
    assert found.at > 0
    assert msgspec.structs.replace(found, at=0.0) == TUNED
    assert (tmp_path / "bench" / "tuning.json").stat().st_mode & 0o777 == 0o600


def test_another_file_build_or_machine_gets_nothing(card: ModelCard, book: TuningBook) -> None:
    book.keep(card, BUILD, "here", TUNED)
    assert book.find(card, "llama.cpp 2", "here") is None
    assert book.find(card, BUILD, "there") is None
    os.utime(card.path, ns=(1, 1))
    assert book.find(card, BUILD, "here") is None
    book.keep(card, BUILD, "there", Tuned(()))
    assert book.find(card, BUILD, "there") is not None


def test_forgetting_leaves_the_others(card: ModelCard, book: TuningBook) -> None:
    other = replace(card, name="other")
    book.keep(card, BUILD, "here", TUNED)
    book.keep(other, BUILD, "here", TUNED)
    assert book.forget("m")
    assert not book.forget("m")
    assert (book.find(card, BUILD, "here"), book.find(other, BUILD, "here") is None) == (None, False)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b'{"version":2,"models":{}}', b'{"version":1}'])
def test_a_damaged_book_is_an_empty_one(card: ModelCard, book: TuningBook, tmp_path: Path, data: bytes) -> None:
    book.keep(card, BUILD, "here", TUNED)
    file = tmp_path / "bench" / "tuning.json"
    file.write_bytes(data)
    assert book.find(card, BUILD, "here") is None
    book.keep(card, BUILD, "here", TUNED)
    assert book.find(card, BUILD, "here") is not None
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".tmp"] == []


def test_a_field_that_nobody_may_tune_makes_the_book_a_damaged_one(card: ModelCard, book: TuningBook) -> None:
    book.keep(card, BUILD, "here", TUNED)
    file = card.path.parent / "bench" / "tuning.json"
    data = json.loads(file.read_bytes())
    data["models"]["m"]["tuned"]["changes"][0]["field"] = "context"
    file.write_text(json.dumps(data))
    assert book.find(card, BUILD, "here") is None


def test_a_folder_that_cannot_be_made_is_told(card: ModelCard) -> None:
    with pytest.raises(StateError, match=r"cannot write .*tuning\.json"):
        TuningBook(card.path / "bench").keep(card, BUILD, "here", TUNED)


def test_what_was_tuned_is_applied_and_nothing_else() -> None:
    launch = Launch(context=4096, slots=3, kv_type="bf16", gpu_layers=7)
    assert TUNED.apply(launch) == msgspec.structs.replace(launch, micro_batch=256, flash="off")
    assert Tuned(()).apply(launch) == launch


def test_what_the_owner_has_set_stays_with_all_that_belongs_to_it() -> None:
    tuned = Tuned((Change("threads", 0, 4), Change("batch_threads", 0, 8), Change("micro_batch", 512, 256)))
    assert tuned.apply(Launch(context=4096, threads=3)) == Launch(context=4096, threads=3, micro_batch=256)
    assert tuned.apply(Launch(context=4096)) == Launch(context=4096, threads=4, batch_threads=8, micro_batch=256)


def test_a_quantised_cache_keeps_its_flash_attention() -> None:
    launch = Launch(context=4096, kv_type="q8_0")
    assert TUNED.apply(launch) == msgspec.structs.replace(launch, micro_batch=256)


@pytest.mark.parametrize("value", [0, 1 << 20, "many", -1])
def test_a_value_that_would_end_the_engine_changes_nothing(value: int | str) -> None:
    launch = Launch(context=4096)
    assert Tuned((Change("micro_batch", 512, value),)).apply(launch) == launch


launches = st.builds(
    Launch,
    context=st.just(4096),
    threads=st.integers(0, 8),
    batch_threads=st.integers(0, 8),
    micro_batch=st.sampled_from([128, 512, 1024]),
    batch=st.sampled_from([1024, 2048]),
    flash=st.sampled_from(["auto", "on", "off"]),
    speculation=st.sampled_from(["none", "ngram-mod"]),
)


@given(launches, launches)
def test_the_difference_of_two_launches_leads_from_one_to_the_other(before: Launch, after: Launch) -> None:
    assert Tuned(difference(before, after)).apply(before) == after
    assert all(change.before != change.after for change in difference(before, after))


def test_a_machine_is_told_from_another_but_not_from_itself_with_less_free_memory() -> None:
    assert mark_of(machine()) == mark_of(replace(machine(), ram_free_bytes=1, notes=("later",)))
    assert mark_of(machine()) != mark_of(machine(cores=4))
    assert mark_of(machine()) != mark_of(replace(machine(), gpus=describe_machine((1 << 34,), 1).gpus))
