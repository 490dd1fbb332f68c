"""Where things live: XDG folders, or everything below ``HEARTH_HOME``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import StateError

# sockaddr_un holds 108 bytes on Linux and 104 on macOS; our longest file name in the runtime folder is below 40.
LONGEST_RUNTIME_DIR = 60


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one home. Nothing is created until ``ensure`` is called."""

    config: Path
    data: Path
    cache: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """The owner's settings."""
        return self.config / "config.toml"

    @property
    def models(self) -> Path:
        """Model files that were fetched or imported."""
        return self.data / "models"

    @property
    def sessions(self) -> Path:
        """One transcript a session."""
        return self.data / "sessions"

    @property
    def calibration(self) -> Path:
        """What was measured of models, one file each."""
        return self.data / "calibration"

    @property
    def kv(self) -> Path:
        """KV state on disk."""
        return self.data / "kv"

    @property
    def logs(self) -> Path:
        """Logs of the daemon and of each engine process."""
        return self.data / "logs"

    def engine_log(self, model: str) -> Path:
        """The log of this model's engines. A name that a file name cannot carry gets a mark made from it, so that two
        models never share a log."""
        stem = Path(model).stem if model.startswith("/") else model
        plain = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in stem)[:80]
        mark = "" if plain == model else "-" + hashlib.sha256(os.fsencode(model)).hexdigest()[:6]
        return self.logs / f"engine-{plain}{mark}.log"

    @property
    def key_file(self) -> Path:
        """The API key of the TCP port, mode 0600."""
        return self.config / "api-key"

    @property
    def socket(self) -> Path:
        """The daemon's unix socket, mode 0600."""
        return self.runtime / "hearth.sock"

    @property
    def daemon_file(self) -> Path:
        """Who runs: pid, start time, TCP address, as JSON; locked by the daemon while it lives."""
        return self.runtime / "daemon.json"

    def ensure(self) -> None:
        """Create the folders, private to the owner.

        Raises StateError naming the first folder that cannot be written, or a runtime folder of somebody else.
        """
        for folder in (self.config, self.data, self.cache, self.runtime, self.sessions, self.models, self.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise StateError(
                    f"cannot create {folder}: {error.strerror}", "set HEARTH_HOME to a folder that you can write"
                ) from error
            if folder == self.runtime:
                self._make_private()
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateError(f"{folder} is not writable", f"run: chmod u+rwx {folder}")

    def _make_private(self) -> None:
        # In a shared temporary folder somebody else may have been there first, with a folder or a symlink to ours.
        for found in (self.runtime.lstat(), self.runtime.stat()):
            if found.st_uid != os.getuid():
                fix = "set HEARTH_HOME or XDG_RUNTIME_DIR to a folder of your own"
                raise StateError(f"{self.runtime} belongs to another user", fix)
        if self.runtime.stat().st_mode & 0o077:
            self.runtime.chmod(0o700)


def resolve_paths(environment: Mapping[str, str]) -> Paths:
    """The folders for these environment variables. Pure: touches no disk.

    The runtime folder holds unix sockets, whose path may have about 100 bytes: a longer one moves to the
    temporary folder under a name made from its hash. Raises StateError if no home folder is known.
    """
    if root := environment.get("HEARTH_HOME"):
        base = _expand(root, environment).absolute()
        return Paths(base / "config", base / "data", base / "cache", _short(base / "run", environment))
    return Paths(
        config=_xdg(environment, "XDG_CONFIG_HOME", ".config") / "hearth",
        data=_xdg(environment, "XDG_DATA_HOME", ".local/share") / "hearth",
        cache=_xdg(environment, "XDG_CACHE_HOME", ".cache") / "hearth",
        runtime=_short(_xdg(environment, "XDG_RUNTIME_DIR", ".local/state") / "hearth", environment),
    )


def _xdg(environment: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG base directory specification: a relative path is invalid and counts as not set.
    given = Path(environment.get(variable, ""))
    return given if given.is_absolute() else _expand("~", environment) / default


def _expand(path: str, environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return Path(home) / path[2:]
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no HOME, and no entry for this user either: seen in containers
        raise StateError("no home folder is known", "set HOME or HEARTH_HOME") from error


def _short(folder: Path, environment: Mapping[str, str]) -> Path:
    name = f"hearth-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    for candidate in (folder, Path(environment.get("TMPDIR") or "/tmp") / name):
        if len(os.fsencode(candidate)) <= LONGEST_RUNTIME_DIR:
            return candidate
    return Path("/tmp") / name
