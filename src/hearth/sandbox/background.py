"""Commands that run on while the model does something else: at most eight, none of them outlives the session."""

from __future__ import annotations

import asyncio
import codecs

from hearth.errors import LimitReached
from hearth.sandbox.command import MOST_OUTPUT, Ends, Launcher, Running

MOST_RUNNING = 8
"""Commands that may run in the background at once: a server, a watcher, some builds; more is a mistake."""
MOST_ENDED = 24
"""Commands that have ended and are still known; the oldest are forgotten first."""


class Job:
    """One command in the background. What it says is kept, bounded, until somebody looks."""

    def __init__(self, id: str, command: str) -> None:
        self.id = id
        self.command = command
        self._unread = _Unread()
        self._running: Running | None = None
        self._following: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the command is over, its whole group gone."""
        return self._over.is_set()

    @property
    def code(self) -> int:
        """Its exit status when it has ended, negative for a signal."""
        return self._running.code if self._running else -1

    @property
    def left(self) -> bool:
        """Whether something that it had put into the background itself was ended with it."""
        return bool(self._running and self._running.left)

    def take(self) -> str:
        """What it said since the last look; the middle of very much is dropped, and it says so."""
        return self._unread.take(self.ended)

    async def wait(self, seconds: float) -> None:
        """Until it ends, at most ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    async def launch(self, launcher: Launcher) -> None:
        """Start it. Raises OSError or ValueError if it cannot be started."""
        self._running = await launcher.start(self.command, self._unread.add)
        self._following = asyncio.create_task(self._follow(self._running))

    async def end(self) -> None:
        """End it with its whole group; returns when all of it is gone, also when its caller is cancelled before."""
        if self._following is None:
            return
        self._following.cancel()
        await asyncio.wait({self._following})
        if self._running and not self.ended:
            # Cancelled before its first step, it has ended nothing.
            try:
                await self._running.end()
            finally:
                self._over.set()

    async def _follow(self, running: Running) -> None:
        try:
            await running.wait()
        finally:
            # What the shell left behind ends with it, as in the foreground.
            try:
                await running.end()
            finally:
                self._over.set()


class Background:
    """The commands in the background of one session. ``close`` it: nothing of theirs lives on."""

    def __init__(self, launcher: Launcher, most: int = MOST_RUNNING) -> None:
        self._launcher = launcher
        self._most = most
        self._jobs: dict[str, Job] = {}
        self._started = 0
        self._closed = False

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All that are known, the oldest first."""
        return tuple(self._jobs.values())

    async def start(self, command: str) -> Job:
        """Start a command. Raises LimitReached when too many run, OSError or ValueError if it cannot be started."""
        running = [job for job in self.jobs if not job.ended]
        if len(running) >= self._most:
            names = ", ".join(job.id for job in running)
            raise LimitReached(f"{self._most} commands run in the background: {names}", "end one first")
        self._started += 1
        job = Job(f"b{self._started}", command)
        self._jobs[job.id] = job
        try:
            await job.launch(self._launcher)
        except BaseException:
            self._jobs.pop(job.id, None)
            raise
        if self._closed:  # while it was being started
            await job.end()
        self._forget()
        return job

    def find(self, id: str) -> Job | None:
        """The command of this id, running or ended; None when there is none."""
        return self._jobs.get(id)

    def drop(self, job: Job) -> None:
        """Forget a command that has ended and was told of."""
        self._jobs.pop(job.id, None)

    async def close(self) -> None:
        """End all of them, also those that are being started."""
        self._closed = True
        await asyncio.gather(*(job.end() for job in self.jobs))
        self._jobs.clear()

    def _forget(self) -> None:
        ended = [job for job in self.jobs if job.ended]
        for job in ended[: max(0, len(ended) - MOST_ENDED)]:
            self.drop(job)


class _Unread:
    """Output that nobody has seen. A character that came in part is kept until the rest of it is there."""

    def __init__(self) -> None:
        self._kept = Ends(MOST_OUTPUT)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, data: bytes) -> None:
        self._kept.add(data)

    def take(self, last: bool) -> str:
        data, self._kept = self._kept.data(), Ends(MOST_OUTPUT)
        return self._decoder.decode(data, last)
