"""Long sessions as people want them: polling, running the same tests, forty files with one edit, bisecting. None is
ever begun afresh, asked again or stopped; a hint now and then is the most that may come of it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hearth.agent.equipment import Equipment
from hearth.agent.guard.digests import Digests
from hearth.agent.guard.ladder import Rung
from hearth.agent.guard.watch import Watch
from hearth.messages import Message, ToolCall
from hearth.sandbox.command import CommandResult

EDITING = ("read", "edit", "write", "bash", "grep", "glob", "todo")


class World:
    """A shell in which each command does and says what the session has foreseen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says = ""
        self.code = 0
        self.writes: dict[str, str] = {}

    async def run(self, command: str, timeout_s: float) -> CommandResult:
        """What was foreseen."""
        for path, text in self.writes.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        return CommandResult(self.says, self.code)


class Way:
    """A course that must stay as it is."""

    async def restart(self, note: str) -> None:
        """Work would be lost."""
        pytest.fail(f"begun afresh: {note}")

    def retry(self) -> None:
        """A step would be lost."""
        pytest.fail("asked again")


async def keep_nothing() -> bool:
    """Files would be lost."""
    pytest.fail("rolled back")


class Sitting:
    """One turn of a model over real files and tools; only what commands do is foreseen."""

    def __init__(self, folder: Path, task: str) -> None:
        self.folder = folder
        self._world = World(folder)
        tools = Equipment(folder, self._world, 1.0).toolbox(EDITING)
        self.watch = Watch(tools, Way(), task, Digests(folder), keep_nothing)

    async def call(self, name: str, **arguments: object) -> str:
        """One step with one call."""
        result = await self.watch.run(ToolCall("c", name, json.dumps(arguments)))
        assert not await self.watch.look()
        assert self.watch.rung <= Rung.HINT
        return result.for_model

    async def bash(self, command: str, says: str = "", code: int = 0, writes: dict[str, str] | None = None) -> str:
        """A command, and what comes of it: ``writes`` are the files that it writes."""
        self._world.says, self._world.code, self._world.writes = says, code, writes or {}
        return await self.call("bash", command=command)

    async def read(self, path: str, **arguments: object) -> str:
        """Read a file."""
        return await self.call("read", path=path, **arguments)

    async def write(self, path: str, content: str) -> None:
        """Write a file."""
        await self.call("write", path=path, content=content)

    async def edit(self, path: str, old: str, new: str) -> None:
        """Edit a file, which must work."""
        assert "edited" in await self.call("edit", path=path, old=old, new=new)

    def make(self, path: str, text: str) -> None:
        """A file that is there before."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)


def failing(*names: str, passed: int = 3, why: str = "assert 1 == 2") -> str:
    """What pytest says."""
    lines = [f"FAILED tests/test_a.py::{name} - {why}" for name in names]
    return "\n".join([*(f"E   {why}" for _ in names), *lines, f"{len(names)} failed, {passed} passed in 0.12s"])


async def poll_a_build(at: Sitting) -> None:
    await at.bash("make -j8 > build.log 2>&1 &")
    for _ in range(12):
        await at.bash("sleep 30; tail -1 build.log", "[ 12%] Building CXX object src/big.o")
    await at.bash("sleep 30; tail -1 build.log", "[100%] Built target app")


async def wait_for_a_server(at: Sitting) -> None:
    for _ in range(12):
        await at.bash("curl -s localhost:8000/health", "curl: (7) Failed to connect to localhost port 8000", 7)
    await at.bash("curl -s localhost:8000/health", "ok")


async def wait_for_a_server_with_naps(at: Sitting) -> None:
    for _ in range(8):
        await at.bash("sleep 5")
        await at.bash("curl -sf localhost:8000/health", "curl: (7) Failed to connect", 7)
    await at.bash("curl -sf localhost:8000/health", "ok")


async def watch_containers(at: Sitting) -> None:
    await at.bash("docker compose up -d", "started")
    for _ in range(10):
        await at.bash("docker compose ps", "db   starting")
        await at.bash("docker compose logs --tail 1 db", "db  | waiting for disk")


async def watch_a_pipeline(at: Sitting) -> None:
    await at.bash("git push", "pushed")
    for _ in range(9):
        await at.bash("gh run list -L 1", "in_progress  build  main")


async def refactor_over_a_test_that_always_fails(at: Sitting) -> None:
    """The failing test is not what was asked for, and each step leaves the rest as good as it was."""
    at.make("a.py", "".join(f"def step_{n}():\n    return {n}\n\n\n" for n in range(14)))
    await at.bash("pytest -q", failing("test_old", passed=40), 1)
    for n in range(14):
        await at.edit("a.py", f"    return {n}\n\n\n", f"    value = {n}\n    return value\n\n\n")
        await at.bash("pytest -q", failing("test_old", passed=40), 1)


async def fix_one_large_test_step_by_step(at: Sitting) -> None:
    """The same test fails all the time, and each time further down."""
    at.make("a.py", "".join(f"x{n} = 0\n" for n in range(15)))
    await at.bash("pytest -q", failing("test_all", why="x0 is 0"), 1)
    for n in range(14):
        await at.edit("a.py", f"x{n} = 0\n", f"x{n} = {n + 1}\n")
        await at.bash("pytest -q", failing("test_all", why=f"x{n + 1} is 0"), 1)


async def fix_one_function_over_many_reasons(at: Sitting) -> None:
    """The same lines again and again, and another reason each time."""
    at.make("a.py", "def f():\n    return 0\n")
    await at.bash("pytest -q", failing("test_f", why="assert 0 == 9"), 1)
    for n in range(8):
        await at.edit("a.py", f"    return {n}\n", f"    return {n + 1}\n")
        await at.bash("pytest -q", failing("test_f", why=f"assert {n + 1} == 9"), 1)


async def work_by_commands_alone(at: Sitting) -> None:
    """gpt-oss edits with sed and python -c: what these change is in files that no tool named."""
    at.make("a.py", "x = 0\n")
    for n in range(12):
        await at.bash("pytest -q", failing("test_a", why=f"x is {n}"), 1)
        await at.bash(f"sed -i 's/x = {n}/x = {n + 1}/' a.py", writes={"a.py": f"x = {n + 1}\n"})
    await at.bash("pytest -q", "4 passed in 0.1s")


async def generate_by_a_program(at: Sitting) -> None:
    """Nothing in the command says which files it writes."""
    for n in range(12):
        await at.bash(f"python -c 'import gen; gen.make({n})'", writes={f"out/{n}.txt": str(n)})
        await at.bash("make check", "OK")
        await at.bash("git status --short", "?? out/")


async def list_after_each_creation(at: Sitting) -> None:
    for n in range(20):
        await at.bash(f"mkdir -p src/part{n} && touch src/part{n}/__init__.py")
        await at.bash("ls src", "\n".join(f"part{m}" for m in range(n + 1)))


async def list_after_each_creation_elsewhere(at: Sitting) -> None:
    for n in range(20):
        await at.write(f"src/part{n}.py", f"x = {n}\n")
        await at.bash("ls", "src\ntests")


async def commit_one_by_one(at: Sitting) -> None:
    for n in range(20):
        await at.write(f"p{n}.py", f"x = {n}\n")
        await at.bash(f"git add p{n}.py && git commit -qm 'part {n}'")
        await at.bash("git status", "nothing to commit, working tree clean")


async def commit_what_is_there(at: Sitting) -> None:
    for n in range(15):
        await at.bash(f"git add p{n}.py")
        await at.bash(f"git commit -qm 'part {n}'")
        await at.bash("git status", "On branch main\nnothing added to commit")


async def one_edit_in_forty_files(at: Sitting) -> None:
    for n in range(40):
        at.make(f"src/m{n}.py", "from old import thing\n\nthing()\n")
    for n in range(40):
        await at.read(f"src/m{n}.py")
        await at.edit(f"src/m{n}.py", "from old import thing", "from new import thing")
    await at.bash("pytest -q", "80 passed in 3.1s")


async def one_edit_in_forty_files_over_a_failing_test(at: Sitting) -> None:
    at.make("CHANGES.md", "# Changes\n")
    for n in range(40):
        at.make(f"src/m{n}.py", "from old import thing\n\nthing()\n")
    for n in range(40):
        await at.edit(f"src/m{n}.py", "from old import thing", "from new import thing")
        await at.edit("CHANGES.md", "# Changes\n", f"# Changes\n- m{n} uses the new thing\n")
        await at.bash("pytest -q", failing("test_flaky", passed=80), 1)


async def read_all_before_the_first_line(at: Sitting) -> None:
    """A summary of sixty files wants them all read first."""
    for n in range(60):
        at.make(f"docs/{n}.md", f"# Page {n}\n\nwords about {n}\n")
    await at.call("glob", pattern="docs/*.md")
    for n in range(60):
        await at.read(f"docs/{n}.md")
    await at.write("SUMMARY.md", "# Summary\n")


async def read_one_long_file_in_parts(at: Sitting) -> None:
    at.make("long.py", "".join(f"x{n} = {n}\n" for n in range(6000)))
    for n in range(60):
        await at.read("long.py", offset=100 * n + 1, limit=100)
    await at.edit("long.py", "x5999 = 5999\n", "x5999 = 6000\n")


async def look_with_commands_for_long(at: Sitting) -> None:
    for n in range(60):
        await at.bash(f"grep -rn 'name{n}' src | head", f"src/a{n}.py:1: name{n}")
    await at.write("a.py", "x = 1\n")


async def bisect(at: Sitting) -> None:
    at.make("a.py", "good\n")
    await at.read("a.py")
    await at.bash("git bisect start HEAD v1")
    for n in range(14):
        text = "bad\n" if n % 2 else "good\n"
        way = "good" if n % 2 else "bad"
        await at.bash(f"git bisect {way}", f"Bisecting: {14 - n} revisions left", writes={"a.py": text})
        await at.bash("pytest -q tests/test_a.py", failing("test_a") if n % 2 else "4 passed in 0.1s", n % 2)
    await at.bash("git bisect reset", "done")


async def debug_with_prints(at: Sitting) -> None:
    """Each print is taken out again: the file is as before, and something was learned."""
    at.make("a.py", "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(8)))
    for n in range(8):
        await at.edit("a.py", f"    return {n}\n", f"    print({n})\n    return {n}\n")
        await at.bash("python a.py", f"{n}")
        await at.edit("a.py", f"    print({n})\n    return {n}\n", f"    return {n}\n")


async def break_it_on_purpose(at: Sitting) -> None:
    """Mutations: each must be seen by the tests, and is taken back."""
    at.make("a.py", "".join(f"LIMIT{n} = {n}\n" for n in range(8)))
    for n in range(8):
        await at.edit("a.py", f"LIMIT{n} = {n}\n", f"LIMIT{n} = {n + 1}\n")
        await at.bash("pytest -q", failing(f"test_{n}"), 1)
        good = "".join(f"LIMIT{m} = {m}\n" for m in range(8))
        await at.bash("git checkout a.py", "Updated 1 path from the index", writes={"a.py": good})
        await at.bash("pytest -q", "4 passed in 0.1s")


async def measure_two_settings_in_turn(at: Sitting) -> None:
    at.make("a.py", "WORKERS = 1\n")
    for n in range(4):
        await at.edit("a.py", "WORKERS = 1", "WORKERS = 2")
        await at.bash("python bench.py", f"{100 + n} rows a second")
        await at.edit("a.py", "WORKERS = 2", "WORKERS = 1")
        await at.bash("python bench.py", f"{50 + n} rows a second")


async def run_it_ten_times(at: Sitting) -> None:
    for _ in range(10):
        await at.bash("pytest -q tests/test_flaky.py", "12 passed in 1.2s")


async def install_what_is_missing(at: Sitting) -> None:
    """One command fails again and again, and each time another thing was mended between."""
    for n in range(12):
        await at.bash("make", f"fatal error: part{n}.h: No such file or directory", 2)
        await at.bash(f"apt-get install -y libpart{n}-dev", "done")
    await at.bash("make", "ok")


async def write_a_book(at: Sitting) -> None:
    await at.call("todo", items=[{"text": "chapters", "status": "doing"}])
    for n in range(40):
        await at.write(f"book/{n:02}.md", f"# Chapter {n}\n\nIt was night {n}.\n")
        await at.bash("wc -w book/*.md | tail -1", f"{n * 6} total")


async def type_check_file_by_file(at: Sitting) -> None:
    """The checker stops at the same sum for a while, and the tests stay green."""
    for n in range(20):
        at.make(f"src/m{n}.py", "def f(x):\n    return x\n")
        await at.edit(f"src/m{n}.py", "def f(x):", "def f(x: int) -> int:")
        await at.bash("mypy src", f"src/other.py:1: error: bad\nFound {30 - n} errors in 9 files", 1)
        await at.bash("pytest -q", "40 passed in 2.0s")


async def search_for_what_is_not_there(at: Sitting) -> None:
    at.make("src/a.py", "x = 1\n")
    for n in range(20):
        await at.call("grep", pattern=f"nothing{n}", path="src")
    await at.write("a.py", "x = 1\n")


async def write_page_after_page_of_one_file(at: Sitting) -> None:
    await at.write("doc.md", "# Doc\n")
    for n in range(40):
        before = (at.folder / "doc.md").read_text()
        last = before.splitlines()[-1]
        await at.edit("doc.md", last + "\n", f"{last}\n\nParagraph {n} of the document.\n")


SESSIONS: list[tuple[str, Callable[[Sitting], Awaitable[None]]]] = [
    ("Build the app and tell me when it is done.", poll_a_build),
    ("Start the server and wait until it answers, then fix the login page.", wait_for_a_server),
    ("Start the server, then fix the login page.", wait_for_a_server_with_naps),
    ("Bring the containers up and fix what does not start.", watch_containers),
    ("Push it and fix what the pipeline says.", watch_a_pipeline),
    ("Refactor a.py so that each function names its value.", refactor_over_a_test_that_always_fails),
    ("Fix the failing test.", fix_one_large_test_step_by_step),
    ("Fix the failing test.", fix_one_function_over_many_reasons),
    ("Fix the failing test.", work_by_commands_alone),
    ("Generate the files.", generate_by_a_program),
    ("Create twenty packages below src.", list_after_each_creation),
    ("Create twenty modules below src.", list_after_each_creation_elsewhere),
    ("Add twenty parts, a commit each.", commit_one_by_one),
    ("Split the change into commits.", commit_what_is_there),
    ("Replace the import of old by new everywhere.", one_edit_in_forty_files),
    ("Replace the import of old by new everywhere.", one_edit_in_forty_files_over_a_failing_test),
    ("Write a summary of docs into SUMMARY.md.", read_all_before_the_first_line),
    ("Fix the last constant of long.py after reading all of it.", read_one_long_file_in_parts),
    ("Remove what is not used.", look_with_commands_for_long),
    ("Find the commit that broke it, and fix it.", bisect),
    ("Fix the wrong value.", debug_with_prints),
    ("Check by mutations that the tests are good, and add those that are missing.", break_it_on_purpose),
    ("Find out which number of workers is faster, and set it.", measure_two_settings_in_turn),
    ("Fix the flaky test, and run it ten times to be sure.", run_it_ten_times),
    ("Make it build.", install_what_is_missing),
    ("Write a book of forty chapters.", write_a_book),
    ("Add types to all modules.", type_check_file_by_file),
    ("Remove all uses of nothing.", search_for_what_is_not_there),
    ("Write doc.md, forty paragraphs.", write_page_after_page_of_one_file),
]


@pytest.mark.parametrize(("task", "work"), SESSIONS, ids=[work.__name__ for _, work in SESSIONS])
async def test_a_long_session_is_left_alone(
    task: str, work: Callable[[Sitting], Awaitable[None]], tmp_path: Path
) -> None:
    at = Sitting(tmp_path, task)
    await work(at)
    assert not at.watch.rest(Message("assistant", "It is done."))
