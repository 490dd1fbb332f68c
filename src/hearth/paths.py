"""Where things live: XDG folders, or everything below ``HEARTH_HOME``."""

from __future__ import annotations

import hashlib
import os
import tempfile
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
    def kv(self) -> Path:
        """KV state on disk."""
        return self.data / "kv"

    @property
    def logs(self) -> Path:
        """Logs of the daemon and of each engine process."""
        return self.data / "logs"

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
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateError(f"{folder} is not writable", f"run: chmod u+rwx {folder}")
        owner = self.runtime.stat()
        if owner.st_uid != os.getuid():
            raise StateError(f"{self.runtime} belongs to another user", "set XDG_RUNTIME_DIR to a folder of your own")
        if owner.st_mode & 0o077:
            self.runtime.chmod(0o700)


def resolve_paths(environment: Mapping[str, str]) -> Paths:
    """The folders for these environment variables. Pure: touches no disk.

    The runtime folder holds unix sockets, whose path may have about 100 bytes: a longer one moves to the
    temporary folder under a name made from its hash.
    """
    home = Path(environment.get("HOME") or "~").expanduser()
    if root := environment.get("HEARTH_HOME"):
        base = Path(root).expanduser().absolute()
        return Paths(base / "config", base / "data", base / "cache", _short(base / "run"))
    runtime = environment.get("XDG_RUNTIME_DIR")
    return Paths(
        config=Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "hearth",
        data=Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "hearth",
        cache=Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "hearth",
        runtime=_short(Path(runtime) / "hearth" if runtime else home / ".local" / "state" / "hearth" / "run"),
    )


def _short(folder: Path) -> Path:
    if len(os.fsencode(folder)) <= LONGEST_RUNTIME_DIR:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"hearth-{os.getuid()}-{digest}"
