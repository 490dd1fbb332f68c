"""What a shell command is for, as far as its words tell: pure."""

from __future__ import annotations

import re
import shlex

_LOOKING = (
    "ack ag basename cat cd column cut date df diff dirname du echo env fd file find grep head id jq less ls more nl "
    "od printf ps pwd readlink realpath rg sort stat tail tree true type uname uniq wc which xxd"
)
LOOKING_COMMANDS = frozenset(_LOOKING.split())
LOOKING_IN_GIT = frozenset(
    ("blame", "branch", "describe", "diff", "grep", "log", "ls-files", "remote", "show", "status")
)
_WAITING = (
    "aws az curl dig docker docker-compose gcloud gh glab host jobs journalctl kubectl lsof nc netstat nslookup "
    "nvidia-smi pgrep pidof ping podman ps service sleep ss ssh systemctl telnet top uptime wait watch wget"
)
WAITING_COMMANDS = frozenset(_WAITING.split())
"""What asks for a state that others change: a server, a container, a pipeline."""
_MOVING = "am apply bisect checkout cherry-pick merge pull rebase reset restore revert stash switch"
MOVING_IN_GIT = frozenset(_MOVING.split())
"""What brings files back to contents that they had, which is its purpose."""
_LOG = re.compile(r"\.(?:err|log|out)\b|/var/log/")
_PARTS = re.compile(r"&&|\|\||[;|\n]")
_HARMLESS = re.compile(r"\d?>&\d|[12&]?>>? ?/dev/null")
_SED = re.compile(r"sed\s+(-n\s|-E\s+-n\s)")
_PATH = re.compile(
    r"(?<![\w./:$@-])(?:[\w@+-][\w.@+-]*/)*[\w@+-][\w.@+-]*\.\w{1,8}(?![\w./(-])|(?<=\s)(?:[\w.@+-]+/)*Makefile\b"
)
MOST_PATHS = 16
LONGEST_READ = 4_000
"""Characters of a command in which files are looked for: what follows is mostly the text of a file."""


def looks_only(command: str) -> bool:
    """Whether a command surely changes nothing. In doubt it is taken to do something."""
    plain = _HARMLESS.sub(" ", command)
    if ">" in plain or "`" in plain or "$(" in plain:
        return False
    parts = _split(plain)
    return bool(parts) and all(_looks(part) for part in parts)


def waits(command: str) -> bool:
    """Whether a command asks for something that changes by itself: asked again, it may say something else."""
    if _LOG.search(command):
        return True
    return any((words := _words(part)) and words[0] in WAITING_COMMANDS for part in _split(command))


def moves_in_history(command: str) -> bool:
    """Whether a command brings files to other points of their history by git."""
    return any(_git_verb(_words(part)) in MOVING_IN_GIT for part in _split(command))


def find_paths(command: str) -> list[str]:
    """The files that a command seems to name; some of them may be none."""
    return list(dict.fromkeys(_PATH.findall(command[:LONGEST_READ])))[:MOST_PATHS]


def _split(command: str) -> list[str]:
    return [part.strip() for part in _PARTS.split(command) if part.strip()]


def _words(part: str) -> list[str]:
    """The words of one command, without variables set before it; none where it cannot be read."""
    try:
        words = shlex.split(part)
    except ValueError:
        return []
    while words and re.fullmatch(r"\w+=\S*", words[0]):
        words.pop(0)
    return words


def _git_verb(words: list[str]) -> str:
    if words[:1] != ["git"]:
        return ""
    return next((word for word in words[1:] if not word.startswith("-")), "")


def _looks(part: str) -> bool:
    words = _words(part)
    if not words:  # variables alone, or what no shell would take
        return bool(re.fullmatch(r"(?:\w+=\S*\s*)+", part))
    if words[0] == "git":
        return _git_verb(words) in LOOKING_IN_GIT
    if words[0] == "find":
        return not {"-delete", "-exec", "-execdir", "-ok"} & set(words)
    return words[0] in LOOKING_COMMANDS or bool(_SED.match(part))
