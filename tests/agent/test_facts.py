import os
import subprocess
from datetime import date
from pathlib import Path

import pytest

from hearth.agent.facts import MOST_STATUS_LINES, system_text
from hearth.agent.frame import Frame
from hearth.agent.guides import INTRODUCTION
from hearth.llm.profile import PILOT, profile_for
from hearth.messages import Message, ToolSpec
from hearth.sandbox.command import CommandResult, PlainShell

TODAY = date(2026, 11, 23)
STANDARD = profile_for("standard")


async def facts(folder: Path) -> str:
    text = await system_text(STANDARD, folder, PlainShell(folder, os.environ), TODAY)
    assert text.startswith(STANDARD.system)
    return text.removeprefix(STANDARD.system)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main")
    subprocess.run(("git", *identity, *arguments), cwd=folder, check=True, capture_output=True)


async def test_the_pilot_is_told_its_system_text_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("be kind")
    assert await system_text(PILOT, tmp_path, PlainShell(tmp_path, {}), TODAY) == PILOT.system


async def test_a_folder_without_git(tmp_path: Path) -> None:
    assert await facts(tmp_path) == f"\n\nFolder: {tmp_path}\nDate: 2026-11-23\nGit: not a git repository"


async def test_a_repository_tells_branch_and_changes(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert "Git: branch main, clean" in await facts(tmp_path)
    (tmp_path / "a.py").write_text("x = 1\n")
    assert (await facts(tmp_path)).endswith("Git: branch main, changed:\n?? a.py")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "checkout", "-b", "topic/x")
    (tmp_path / "inner").mkdir()
    assert (await facts(tmp_path / "inner")).endswith("Git: branch topic/x, clean")


async def test_many_changes_are_bounded(tmp_path: Path) -> None:
    git(tmp_path, "init")
    for number in range(MOST_STATUS_LINES + 5):
        (tmp_path / f"f{number}").write_text("")
    text = await facts(tmp_path)
    assert text.count("?? f") == MOST_STATUS_LINES
    assert text.endswith("…")


async def test_a_repository_cannot_run_a_program_of_its_own(tmp_path: Path) -> None:
    git(tmp_path, "init")
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
    assert "branch main" in await facts(tmp_path)
    assert not (tmp_path / "ran").exists()


async def test_git_that_hangs_or_is_not_there_is_unknown(tmp_path: Path) -> None:
    class Hanging:
        async def run(self, command: str, timeout_s: float) -> CommandResult:
            return CommandResult("", -9, timed_out=True)

    (tmp_path / ".git").mkdir()
    assert (await system_text(STANDARD, tmp_path, Hanging(), TODAY)).endswith("Git: unknown")
    nothing = PlainShell(tmp_path, {"PATH": str(tmp_path)})
    assert (await system_text(STANDARD, tmp_path, nothing, TODAY)).endswith("Git: unknown")


@pytest.mark.parametrize("name", ["AGENTS.md", "CLAUDE.md"])
async def test_the_guide_of_the_project_follows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("# Rules\nbe kind\n")
    assert (await facts(tmp_path)).endswith(f'\n\n{INTRODUCTION}\n<guide file="{name}">\n# Rules\nbe kind\n</guide>')


async def test_skills_follow_the_guides(tmp_path: Path) -> None:
    skill = tmp_path / ".claude" / "skills" / "release"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: release\ndescription: How we release.\n---\nTag it.\n")
    text = await facts(tmp_path)
    assert "- release (.claude/skills/release/SKILL.md): How we release.\n</skills>" in text
    assert "Tag it" not in text


def test_a_frame_comes_back_from_its_record() -> None:
    tools = (ToolSpec("read", "Read.", {"type": "object"}),)
    frame = Frame("s", "/x", "m", "standard", "be good", tools, {"temperature": 0.7}, 64)
    assert Frame.from_record(frame.to_record()) == frame
    request = frame.request([Message("user", "hi")])
    assert [message.role for message in request.messages] == ["system", "user"]
