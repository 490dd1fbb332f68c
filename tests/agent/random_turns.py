"""Random turns of a model: edits and commands in a project with everything in it that makes undo hard."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

GIT = "git -c user.name=n -c user.email=e@x -c init.defaultBranch=main -c protocol.file.allow=always"
NAMES = ("a.py", "b.txt", "c d", "ü.md", os.fsdecode(b"\xff\xfe"), "new\nline", "-rf", "data.bin", "x.log", "é")
FOLDERS = ("src", "src/deep", "build", "node_modules/m", "empty", "tests/__pycache__", "nested/sub", "sub")
MODES = (0o644, 0o755, 0o600, 0o400, 0o4755, 0o666, 0o000)
FOLDER_MODES = (0o755, 0o700, 0o1777, 0o2755, 0o555)


def make_template(folder: Path) -> Path:
    """A project with a repository, a submodule, a nested repository, ignored files, links, odd names and bytes."""
    other, project = folder / "other", folder / "template"
    for made in (other, project):
        made.mkdir()
    run(f"{GIT} init -q && echo s > s && {GIT} add . && {GIT} commit -qm s", other)
    run(
        f"""
        {GIT} init -q; {GIT} submodule --quiet add {other} sub
        mkdir -p src/deep nested build node_modules/m empty
        printf 'x = 1\\r\\n' > src/a.py; printf '*.log\\nbuild/\\nnode_modules/\\n' > .gitignore
        printf '* text=auto eol=crlf\\n' > .gitattributes
        head -c 3000 /dev/zero > data.bin; echo log > x.log; echo out > build/out; echo 1 > node_modules/m/i.js
        ln -s src/a.py link; ln -s nowhere dangling; ln -s src to-folder; mkfifo fifo
        {GIT} add .; {GIT} commit -qm one
        cd nested; {GIT} init -q; echo n > n; {GIT} add n; {GIT} commit -qm n; echo more >> n
        """,
        project,
    )
    return project


def run(command: str, folder: Path) -> str:
    """Run a command with bash, which must succeed; what it writes."""
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def change(root: Path, dice: random.Random) -> None:
    """One thing that a turn does: an edit by hand, or a real command."""
    if dice.random() < 0.25:
        command(root, dice)
        return
    file, folder = root / dice.choice(FOLDERS) / dice.choice(NAMES), root / dice.choice(FOLDERS)
    match dice.randrange(9):
        case 0 | 1 | 2:
            if make_folder(file.parent) and not file.is_dir():
                file.unlink(missing_ok=True)
                file.write_bytes(random_bytes(dice))
        case 3:
            for found in dice.sample(files(root), min(2, len(files(root)))):
                if not found.is_symlink():
                    found.chmod(0o600)
                    with found.open("ab") as stream:
                        stream.write(random_bytes(dice)[:50])
        case 4:
            for found in dice.sample(files(root), min(2, len(files(root)))):
                found.unlink()
        case 5:
            for found in dice.sample(files(root), min(2, len(files(root)))):
                if not found.is_symlink():
                    found.chmod(dice.choice(MODES))
        case 6:
            if make_folder(file.parent) and not file.is_dir():
                file.unlink(missing_ok=True)
                file.symlink_to(dice.choice(["../link", "/etc/passwd", "nowhere", "."]))
        case 7:
            if make_folder(folder):
                folder.chmod(dice.choice(FOLDER_MODES))
        case 8:
            # A file where a folder was, and the other way round.
            if folder.is_dir() and not has_history(folder) and not folder.is_symlink():
                shutil.rmtree(folder)
                folder.write_bytes(b"a file now")
            elif file.is_file() and not file.is_symlink():
                file.unlink()
                file.mkdir()


def command(root: Path, dice: random.Random) -> None:
    """One real command, as models write them."""
    several = [shlex.quote(f"./{path.relative_to(root)}") for path in files(root)] or ["./none"]
    one, other = dice.choice(several), dice.choice(several)
    name = f"made-{dice.randrange(6)}"
    lines = [
        "find . -path '*/.git' -prune -o -name '*.log' -type f -exec rm -f {} +",
        f"mkdir -p {name}/deep/er && cp -a src {name}/ || true",
        f"rm -rf {name} build",
        f"mv {one} {name}.moved || true",
        f"cp -p {one} {other} || true",
        f"mkdir -p {name} && tar cf - --exclude=.git nested | tar xf - -C {name}",
        f"ln -sfn {one} {name}.link; ln -f {one} {name}.hard || true",
        f"sed -i 's/1/2/g' {one} || true",
        f"truncate -s 3000 {one} || true; touch -d 2001-01-01 {one} || true",
        f"mkdir -p node_modules/p{dice.randrange(9)} && for i in 1 2 3 4 5; do echo $i > node_modules/p$i.js; done",
        "find . -path '*/.git' -prune -o -type d -empty -exec rmdir {} + || true",
        f"chmod -R u+rwX,go-w src || true; umask 077; echo secret > {name}.key",
        f"rm -f fifo2; mkfifo fifo2; rm -f fifo2; date > {name}.date",
        f"mv src {name}-src 2>/dev/null || mv {name}-src src || true",
        "git status || true; git log --oneline; git diff > changes.patch || true",
    ]
    run(dice.choice(lines), root)


def files(root: Path) -> list[Path]:
    """The files and links that a turn may change, in one order."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted([*names, *(name for name in folders if (Path(folder) / name).is_symlink())]):
            path = Path(folder) / name
            if name != ".git" and not stat.S_ISFIFO(path.lstat().st_mode):
                found.append(path)
    return found


def make_folder(folder: Path) -> bool:
    """Make a folder; False where a file is in its way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    return True


def has_history(folder: Path) -> bool:
    """Whether a repository's own files are in it: those are the owner's."""
    return any(".git" in (*folders, *names) for _, folders, names in os.walk(folder))


def random_bytes(dice: random.Random) -> bytes:
    """Text with any line ends, bytes, nothing at all, or much."""
    return dice.choice(
        [
            b"",
            b"text\r\nwith\rends\n",
            dice.randbytes(dice.randrange(2000)),
            f"value = {dice.random()}\n".encode() * dice.randrange(1, 30),
            "grüße 🔥".encode() * 3,
            b"\0" * 5000,
        ]
    )
