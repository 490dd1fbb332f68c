"""How an engine is spoken to. The gateway speaks llama-server's chat and raw completions; an engine that speaks
otherwise brings a translation. Pure: bytes in, bytes out."""

from __future__ import annotations

from typing import Protocol

CHAT_PATH = "/v1/chat/completions"
RAW_PATH = "/v1/completions"


class Untranslatable(Exception):
    """A request that this engine cannot answer as it was asked; the message says why, for the client."""


class Translation(Protocol):
    """One answer on its way back. Made anew for each request."""

    def feed(self, chunk: bytes) -> bytes:
        """Events as a client of llama-server expects them, from what came so far; empty when nothing is whole yet."""
        ...

    def finish(self) -> bytes:
        """What is left to say after the engine closed its stream."""
        ...

    def whole(self, body: bytes) -> bytes:
        """The answer of a request that is not streamed; an error object when it is none."""
        ...

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """Status and body of a refusal, in llama-server's shape."""
        ...


class Dialect(Protocol):
    """What an engine speaks."""

    @property
    def path(self) -> str:
        """Where chat requests go, below the endpoint's URL."""
        ...

    @property
    def raw_path(self) -> str:
        """Where a prompt goes that is text, special tokens included; empty where the engine takes none."""
        ...

    def request(self, body: bytes) -> bytes:
        """A client's request as the engine takes it. MUST raise Untranslatable rather than leave out what
        changes the answer."""
        ...

    def translation(self, body: bytes) -> Translation:
        """For the answer to the client's request ``body``."""
        ...


class LlamaServer:
    """llama-server's own: nothing is changed, byte for byte. It is a ``Dialect`` and its ``Translation``."""

    path = CHAT_PATH
    raw_path = RAW_PATH

    def request(self, body: bytes) -> bytes:
        """As it is."""
        return body

    def translation(self, body: bytes) -> LlamaServer:
        """Itself: it remembers nothing."""
        return self

    def feed(self, chunk: bytes) -> bytes:
        """As it is."""
        return chunk

    def finish(self) -> bytes:
        """Nothing."""
        return b""

    def whole(self, body: bytes) -> bytes:
        """As it is."""
        return body

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """As it is."""
        return status, body
