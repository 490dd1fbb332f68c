"""A file on a server as the GGUF reader takes it: ranges of it, as they are needed."""

from __future__ import annotations

import time

from hearth.errors import ModelUnavailable
from hearth.weights.fetch.plan import RemoteFile
from hearth.weights.fetch.ranged import Asker, Changed, NoRanges
from hearth.weights.fetch.wire import Access, Broken

_ATTEMPTS = 3
_TIMEOUT_S = 30.0


class RemoteSource:
    """Reads ranges of one remote file over one connection. Close it after use."""

    def __init__(self, file: RemoteFile, access: Access) -> None:
        self.size_bytes = file.size_bytes
        self._file = file
        self._asker = Asker(file, access)
        self._line = self._asker.line(_TIMEOUT_S)

    def read(self, offset: int, size: int) -> bytes:
        """These bytes, fewer only at the file's end.

        Raises ModelUnavailable when the server does not answer, has other content, or knows no ranges; Denied when
        offline.
        """
        end = min(offset + size, self.size_bytes)
        if end <= offset:
            return b""
        why = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(2.0 ** (attempt - 1))
            try:
                return self._read_once(offset, end)
            except Broken as error:
                why = str(error)
            except Changed as error:
                raise ModelUnavailable(f"{self._file.name} was replaced meanwhile: {error}", "try again") from error
            except NoRanges as error:
                raise ModelUnavailable(
                    f"the server of {self._file.name} gives no parts of it, so its header cannot be read beforehand",
                    "fetch it: hearth models pull",
                ) from error
            self._line.close()
        raise ModelUnavailable(f"{self._file.name} cannot be read: {why}", "try again later")

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _read_once(self, offset: int, end: int) -> bytes:
        answer, start, stop = self._asker.ask(self._line, (offset, end), whole=False)
        room = bytearray(stop - start)
        read = answer.read_into(memoryview(room))
        if read < len(room):
            raise Broken("the connection ended early")
        if answer.status != 206 or stop < end:
            # A body of another length than was asked would be read by the next request on this line.
            self._line.close()
        if stop < end:
            return bytes(room) + self._read_once(stop, end)
        return bytes(room)
