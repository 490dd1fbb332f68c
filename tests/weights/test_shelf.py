"""Models come and go so that a crash leaves the old one or the new."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearth.errors import HearthError, StateError, UsageError
from hearth.weights.durable import locked
from hearth.weights.manifest import Manifest, Origin, StoredFile, encode_manifest, write_manifest
from hearth.weights.store import Store

HUB = Origin("hub", "owner/name", "a" * 40)
OLD, NEW = b"old" * 100, b"new" * 200
REFUSED = 3
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")


def gather(store: Store, folder: str, content: bytes, *more: str) -> tuple[Path, list[StoredFile]]:
    """A download that is complete: its files, and a sidecar that nobody needs any more."""
    incoming = store.incoming / folder
    incoming.mkdir(parents=True)
    names = ("big.gguf", *more)
    for name in names:
        (incoming / name).write_bytes(content)
    (incoming / "big.gguf.resume").write_bytes(b"{}")
    roles = ("model", *("mmproj" for _ in more))
    files = [StoredFile(name, len(content), role=role) for name, role in zip(names, roles, strict=True)]  # type: ignore[arg-type]  # a Literal
    return incoming, files


def publish(store: Store, name: str, content: bytes, folder: str) -> Manifest:
    return store.publish(name, HUB, *gather(store, folder, content))


def content_of(store: Store, name: str) -> bytes | None:
    """The model's bytes, None when there is none; a model that is there must be whole."""
    if name not in {card.name for card in store.cards()}:
        return None
    return store.resolve(name).path.read_bytes()


def tree(models: Path) -> set[str]:
    hidden = {".lock", ".usage.lock", "usage.json"}
    return {str(path.relative_to(models)) for path in models.rglob("*") if path.is_file() and path.name not in hidden}


def interrupted(action: Callable[[], object], at: int, *, kill: bool) -> int | None:
    """Do it in a child that is killed just before the change number ``at`` of the disk, or is told then that the disk
    is full. The child's exit code; None when it was killed."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None if code == -signal.SIGKILL else code
    seen = 0

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT):
            seen += 1
            if seen == at:
                if kill:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    try:
        sys.addaudithook(watch)
        action()
        os._exit(0 if seen < at else 1)
    except HearthError:
        os._exit(REFUSED)
    finally:
        os._exit(2)


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("before", [OLD, None])
def test_a_publication_that_is_cut_off_anywhere_leaves_the_old_model_or_the_new(
    tmp_path: Path, kill: bool, before: bytes | None
) -> None:
    seen = set()
    for at in range(1, 100):
        store = Store(tmp_path / str(at), tmp_path / "no-pilot")
        if before is not None:
            publish(store, "m:1", before, "first")
        incoming, files = gather(store, "second", NEW, "mmproj-F16.gguf")
        code = interrupted(lambda: store.publish("m:1", HUB, incoming, files), at, kill=kill)  # noqa: B023  # ended within the turn
        assert code in (0, 1, REFUSED, None)
        found = content_of(store, "m:1")
        assert found in (before, NEW)
        seen.add(found)
        # The same download again, as its owner would: finished from where it stood, or published anew.
        if "m:1" not in store.settle() and incoming.exists():
            store.publish("m:1", HUB, incoming, files)
        store.collect_garbage()
        assert content_of(store, "m:1") == NEW
        folder = f"files/{store.manifests()[0].folder}"
        left = {"manifests/m%3A1.json", f"{folder}/big.gguf", f"{folder}/mmproj-F16.gguf"}
        assert tree(tmp_path / str(at)) == left
        if code == 0:
            break
    assert code == 0, "it was interrupted at every change, and came through without"
    assert seen == {before, NEW}
    assert at > 10


@pytest.mark.parametrize("kill", [True, False])
def test_a_removal_that_is_cut_off_anywhere_leaves_the_model_or_nothing(tmp_path: Path, kill: bool) -> None:
    seen = set()
    for at in range(1, 100):
        store = Store(tmp_path / str(at), tmp_path / "no-pilot")
        publish(store, "stays", OLD, "first")
        publish(store, "goes", NEW, "second")
        code = interrupted(lambda: store.remove("goes"), at, kill=kill)  # noqa: B023  # ended within the turn
        assert code in (0, 1, REFUSED, None)
        found = content_of(store, "goes")
        assert found in (NEW, None)
        seen.add(found)
        if found is not None:
            store.remove("goes")
        store.collect_garbage()
        assert content_of(store, "stays") == OLD
        assert tree(tmp_path / str(at)) == {"manifests/stays.json", "files/first/big.gguf"}
        if code == 0:
            break
    assert code == 0
    assert seen == {NEW, None}


def test_what_a_crash_left_between_the_two_is_finished_by_the_next_change(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    first, second = gather(store, "first", OLD), gather(store, "second", NEW)
    for at in range(1, 100):
        if interrupted(lambda: store.publish("m", HUB, *first), at, kill=True) == 0 or not first[0].exists():
            break
    assert content_of(store, "m") is None
    store.publish("other", HUB, *second)
    assert content_of(store, "m") == OLD
    assert store.settle() == []
    store.remove("m")
    assert tree(tmp_path) == {"manifests/other.json", "files/second/big.gguf"}


def test_a_model_that_is_replaced_takes_its_old_files_along(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    old = store.resolve(publish(store, "m", OLD, "same-id").name)
    manifest = publish(store, "m", NEW, "same-id")
    assert manifest.folder.startswith("same-id-")
    assert store.resolve("m") != old
    assert tree(tmp_path) == {"manifests/m.json", f"files/{manifest.folder}/big.gguf"}


def test_what_is_not_whole_is_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    incoming, files = gather(store, "first", OLD)
    with pytest.raises(StateError, match="is not whole"):
        store.publish("m", HUB, incoming, [StoredFile("big.gguf", len(OLD) + 1)])
    with pytest.raises(StateError, match="No such file"):
        store.publish("m", HUB, incoming, [StoredFile("small.gguf", 1)])
    (incoming / "big.gguf").unlink()
    (incoming / "big.gguf").symlink_to(incoming / "big.gguf.resume")
    with pytest.raises(StateError, match="is not whole"):
        store.publish("m", HUB, incoming, [StoredFile("big.gguf", 2)])
    assert store.cards() == []
    assert incoming.exists()
    assert files


@pytest.mark.parametrize("name", ["pilot", "", "two\nlines", "/a/b.gguf", ".hidden"])
def test_some_names_are_not_taken(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    with pytest.raises(UsageError, match="choose another name"):
        publish(store, name, OLD, "first")


def test_names_that_differ_in_capitals_only_are_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    publish(store, "GLM-4", OLD, "first")
    with pytest.raises(UsageError, match="differs in capitals only"):
        publish(store, "glm-4", NEW, "second")
    assert content_of(store, "GLM-4") == OLD


def test_two_models_in_one_folder_the_files_stay_until_the_last_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    manifest = publish(store, "one", OLD, "shared")
    write_manifest(tmp_path / "manifests", Manifest("two", HUB, manifest.files, manifest.folder))
    removed = store.remove("one")
    assert (removed.freed_bytes, removed.kept_bytes) == (0, len(OLD))
    assert content_of(store, "two") == OLD
    assert store.remove("two").freed_bytes == len(OLD)
    assert tree(tmp_path) == set()


def test_files_with_another_name_are_not_counted_as_freed(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    incoming, files = gather(store, "first", OLD, "mmproj-F16.gguf")
    (tmp_path / "elsewhere").hardlink_to(incoming / "big.gguf")
    store.publish("m", HUB, incoming, files)
    removed = store.remove("m")
    assert (removed.freed_bytes, removed.kept_bytes) == (len(OLD), len(OLD))
    assert (tmp_path / "elsewhere").read_bytes() == OLD


def test_a_file_in_another_store_is_never_deleted(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(OLD)
    store = Store(tmp_path / "models", tmp_path / "no-pilot")
    kept = StoredFile("m.gguf", len(OLD), path=str(blob), how="reference", changed_ns=blob.stat().st_mtime_ns)
    store.publish("m", Origin("import", str(tmp_path), "ollama"), None, [kept])
    assert content_of(store, "m") == OLD
    removed = store.remove("m")
    assert (removed.freed_bytes, removed.kept_bytes) == (0, len(OLD))
    assert blob.read_bytes() == OLD
    assert tree(tmp_path / "models") == set()


def test_nothing_is_cleared_away_while_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    for name in ("good", "bad"):
        publish(store, name, OLD, f"of-{name}")
    damaged = tmp_path / "manifests" / "bad.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    (tmp_path / "files" / "orphan").mkdir()
    assert store.collect_garbage() == 0
    assert (tmp_path / "files" / "of-bad" / "big.gguf").exists()
    assert store.remove("good").freed_bytes == len(OLD)
    assert tree(tmp_path) == {"manifests/bad.json", "files/of-bad/big.gguf"}
    # With the damaged one gone, its files are nobody's.
    assert store.remove("bad").freed_bytes == len(OLD)
    assert tree(tmp_path) == set()
    assert not (tmp_path / "files" / "orphan").exists()


def test_a_half_published_model_of_a_newer_hearth_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    manifest = publish(store, "m", OLD, "first")
    newer = tmp_path / "files" / "newer"
    newer.mkdir()
    (newer / ".manifest.json").write_bytes(encode_manifest(manifest).replace(b'"version": 1', b'"version": 9'))
    assert store.settle() == []
    assert store.collect_garbage() == 0
    assert newer.exists()


def test_a_download_is_kept_for_its_resume_and_no_longer(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    incoming, _ = gather(store, "first", OLD)
    assert store.collect_garbage() == 0
    assert incoming.exists()
    month = time.time() - 31 * 86_400
    for path in (*incoming.iterdir(), incoming):
        os.utime(path, (month, month))
    with locked(incoming.with_name("first.lock")):
        # Somebody fetches it, slowly.
        assert store.collect_garbage() == 0
    assert store.collect_garbage() == len(OLD) + 2
    assert not incoming.exists()


def test_a_lock_beside_no_download_goes_unless_somebody_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    incoming, _ = gather(store, "first", OLD)
    left, used, own = (store.incoming / f"{name}.lock" for name in ("gone", "begins", "first"))
    for lock in (left, used, own):
        lock.touch()
    with locked(used):
        assert store.collect_garbage() == 0
    assert (left.exists(), used.exists(), own.exists()) == (False, True, True)
    month = time.time() - 31 * 86_400
    for path in (*incoming.iterdir(), incoming):
        os.utime(path, (month, month))
    store.collect_garbage()
    assert list(store.incoming.iterdir()) == []


def test_imports_that_end_while_others_clear_up(tmp_path: Path) -> None:
    store, errors = Store(tmp_path, tmp_path / "no-pilot"), list[BaseException]()

    def gather_often() -> None:
        try:
            for number in range(60):
                with store.gathering() as folder:
                    (folder / f"{number}.gguf").write_bytes(OLD)
                store.collect_garbage()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=gather_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert list(store.incoming.iterdir()) == []


def test_what_is_being_gathered_is_left_alone_and_removed_at_the_end(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "no-pilot")
    with store.gathering() as folder:
        (folder / "big.gguf").write_bytes(OLD)
        assert Store(tmp_path, tmp_path / "no-pilot").collect_garbage() == 0
        assert (folder / "big.gguf").exists()
    assert not folder.exists()
    crashed = tmp_path / ".incoming" / "import-0123456789abcdef"
    crashed.mkdir()
    (crashed / "big.gguf").write_bytes(OLD)
    assert store.collect_garbage() == len(OLD)
    with store.gathering() as folder:
        (folder / "big.gguf").write_bytes(OLD)
        store.publish("m", HUB, folder, [StoredFile("big.gguf", len(OLD))])
    assert content_of(store, "m") == OLD


def test_many_publish_at_once(tmp_path: Path) -> None:
    stores = [Store(tmp_path, tmp_path / "no-pilot") for _ in range(8)]
    ready = [gather(store, f"folder-{number}", b"%d" % number * 50) for number, store in enumerate(stores)]
    threads = [
        threading.Thread(target=store.publish, args=(f"m{number % 4}", HUB, *ready[number]))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [card.name for card in stores[0].cards()] == ["m0", "m1", "m2", "m3"]
    for number in range(4):
        assert content_of(stores[0], f"m{number}") in (b"%d" % number * 50, b"%d" % (number + 4) * 50)
    assert len(tree(tmp_path)) == 8


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"a file where the folder should be")
    store = Store(tmp_path / "models", tmp_path / "no-pilot")
    assert store.cards() == []
    for act in (lambda: store.touch("m"), lambda: store.gathering().__enter__()):
        with pytest.raises(StateError, match="models"):
            act()
