"""Where things live."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import StateError
from hearth.paths import LONGEST_RUNTIME_DIR, Paths, resolve_paths

UNKNOWN_USER = 65_533


def test_everything_is_below_hearth_home() -> None:
    paths = resolve_paths({"HEARTH_HOME": "/h", "HOME": "/home/me", "XDG_CONFIG_HOME": "/c"})
    assert paths == Paths(Path("/h/config"), Path("/h/data"), Path("/h/cache"), Path("/h/run"))
    assert paths.config_file == Path("/h/config/config.toml")
    assert paths.key_file == Path("/h/config/api-key")
    assert (paths.models, paths.sessions, paths.kv, paths.logs) == tuple(
        Path("/h/data") / name for name in ("models", "sessions", "kv", "logs")
    )
    assert (paths.socket, paths.daemon_file) == (Path("/h/run/hearth.sock"), Path("/h/run/daemon.json"))


def test_a_relative_home_is_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_paths({"HEARTH_HOME": "h"}).data == tmp_path / "h" / "data"
    assert resolve_paths({"HEARTH_HOME": "~/h", "HOME": "/me"}).data == Path("/me/h/data")


def test_xdg_folders_and_their_defaults() -> None:
    given = {f"XDG_{name}": f"/x/{name}" for name in ("CONFIG_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")}
    assert resolve_paths({"HOME": "/me", **given}) == Paths(
        Path("/x/CONFIG_HOME/hearth"),
        Path("/x/DATA_HOME/hearth"),
        Path("/x/CACHE_HOME/hearth"),
        Path("/x/RUNTIME_DIR/hearth"),
    )
    default = Paths(
        Path("/me/.config/hearth"),
        Path("/me/.local/share/hearth"),
        Path("/me/.cache/hearth"),
        Path("/me/.local/state/hearth"),
    )
    assert resolve_paths({"HOME": "/me"}) == default
    assert resolve_paths({"HOME": "/me", "XDG_CONFIG_HOME": "relative", "XDG_DATA_HOME": ""}) == default


def test_without_a_home_folder_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(StateError, match="set HOME or HEARTH_HOME"):
        resolve_paths({})


@given(st.text(alphabet="aé/", min_size=1, max_size=200), st.text(alphabet="tmp/", max_size=90))
def test_a_socket_always_fits(home: str, temporary: str) -> None:
    for environment in (
        {"HEARTH_HOME": f"/{home}"},
        {"HOME": f"/{home}"},
        {"HOME": "/m", "XDG_RUNTIME_DIR": f"/{home}"},
    ):
        paths = resolve_paths({**environment, "TMPDIR": temporary and f"/{temporary}"})
        assert len(os.fsencode(paths.runtime)) <= LONGEST_RUNTIME_DIR
        assert len(os.fsencode(paths.socket)) < 104


def test_long_homes_have_runtime_folders_of_their_own() -> None:
    long = "/very" * 30
    first, second = (resolve_paths({"HEARTH_HOME": long + name}).runtime for name in ("/a", "/b"))
    assert first != second
    assert first.parent == Path("/tmp")
    assert resolve_paths({"HEARTH_HOME": long, "TMPDIR": "/t"}).runtime.parent == Path("/t")


def test_the_folders_are_private(home: Path) -> None:
    # Not below tmp_path: the path would be too long, and the runtime folder would be left behind in /tmp.
    paths = resolve_paths({"HEARTH_HOME": str(home / "h")})
    assert paths.runtime == home / "h" / "run"
    paths.runtime.mkdir(parents=True, mode=0o755)
    paths.ensure()
    paths.ensure()
    for folder in (paths.runtime, paths.config, paths.data, paths.sessions, paths.models, paths.logs):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError) as caught:
        resolve_paths({"HEARTH_HOME": str(tmp_path / "file" / "h"), "TMPDIR": str(tmp_path)}).ensure()
    assert str(caught.value).startswith(f"cannot create {tmp_path}/file/h/config: ")
    assert "HEARTH_HOME" in caught.value.fix


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, so the answer of access(2) is given here.
    home = tmp_path / "h"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home / "data")
    with pytest.raises(StateError, match=r"data is not writable · run: chmod u\+rwx"):
        Paths(home / "config", home / "data", home / "cache", home / "run").ensure()


def foreign_folder(folder: Path) -> Path:
    """A folder of another user: root can give one away, others find one of root's."""
    if os.getuid() != 0:
        return Path("/usr")
    folder.mkdir()
    os.chown(folder, UNKNOWN_USER, UNKNOWN_USER)
    return folder


def test_a_runtime_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    runtime = foreign_folder(tmp_path / "run")
    with pytest.raises(StateError, match="belongs to another user"):
        Paths(tmp_path / "c", tmp_path / "d", tmp_path / "e", runtime).ensure()


def test_a_foreign_symlink_to_our_own_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "mine")
    paths = Paths(tmp_path / "c", tmp_path / "d", tmp_path / "e", tmp_path / "run")
    paths.ensure()  # a symlink of our own is our own business
    if os.getuid() == 0:
        os.lchown(tmp_path / "run", UNKNOWN_USER, UNKNOWN_USER)
    else:
        monkeypatch.setattr(os, "getuid", lambda: UNKNOWN_USER)
    with pytest.raises(StateError, match="belongs to another user"):
        paths.ensure()


def test_each_model_has_a_log_of_its_own() -> None:
    paths = resolve_paths({"HEARTH_HOME": "/h"})
    assert paths.engine_log("pilot") == paths.logs / "engine-pilot.log"
    names = ["pilot", "/a/pilot.gguf", "/b/pilot.gguf", "a b", "a_b", "a/b", "..", "x" * 240, "x" * 239, "\udcff"]
    logs = [paths.engine_log(name) for name in names]
    assert len(set(logs)) == len(names)
    assert {log.parent for log in logs} == {paths.logs}
    assert all(len(log.name) < 120 and log.name.isprintable() for log in logs)
