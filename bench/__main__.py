"""Start-up and prompt weight, printed and written to docs/bench.md: ``python -m bench [--with-pi]``."""

from __future__ import annotations

import sys
from pathlib import Path

from bench import prompt, startup
from bench.table import markdown, show

HEAD = """\
# What starting costs, and what a first request weighs

Made by `make bench` (`python -m bench --with-pi` measures pi in the same run). CPU is user and system time of the whole
process; seconds are medians of 7 runs, with Python's bytecode in its cache, as every start but the first has it.
Figures of other agents were recorded the same way: first request of pi 0.73.1 5,545 bytes, of OpenCode 1.18.33 30,705
bytes.

"""

found = [*startup.rows(with_pi="--with-pi" in sys.argv[1:]), *prompt.rows()]
Path("docs/bench.md").write_text(HEAD + markdown(found), encoding="utf-8")
sys.exit(show(found))
