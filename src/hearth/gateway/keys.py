"""The API key of the TCP port: one generated secret in a file of the owner's."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from hearth.errors import StateError

_SHORTEST = 16


class ApiKey:
    """The secret. Compared in constant time; never shown in a repr."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def matches(self, authorization: str, x_api_key: str) -> bool:
        """Whether ``Authorization: Bearer …`` or ``x-api-key`` carries the key."""
        scheme, _, token = authorization.partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else x_api_key.strip()
        return hmac.compare_digest(given.encode(), self._text)


def load_key(path: Path) -> ApiKey:
    """The key in this file; a new one is made when there is no file. The mode becomes 0600 in any case.

    Raises StateError when the file cannot be read or written, or holds no key. One process at a time may call it
    for a file (the daemon holds its home).
    """
    try:
        if not path.exists():
            _make(path)
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"cannot use the key file {path}: {error}", f"mend or remove {path}") from error
    if len(text) < _SHORTEST:
        raise StateError(f"{path} holds no key", f"remove it, a new one is made: rm {path}")
    return ApiKey(text)


def _make(path: Path) -> None:
    """Written aside and renamed, so that a crash never leaves half a key."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"hearth_{secrets.token_urlsafe(32)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.rename(path)
