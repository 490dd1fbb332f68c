"""How calls are written in plain text. Pure: shared by who writes them and who reads them."""

from __future__ import annotations

import re

TOOL = re.compile(r"(`{3,})tool(?: +([\w.-]+))? *\Z")
"""The line that opens a block."""
NAME = re.compile(r"[\w.-]+")
PARAMETER = re.compile(r"([A-Za-z_][\w-]*): ?(.*)\Z", re.DOTALL)
"""A value on one line: one space before it is not part of it."""
LINES = re.compile(r"([A-Za-z_][\w-]*) <<([A-Z][A-Z0-9_]*)( no newline at end)? *\Z")
"""A value of several lines follows, until the word stands alone on a line."""
NO_NEWLINE = " no newline at end"
FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*\Z)|~{3,})(.*)\Z", re.DOTALL)
"""Any opening of a fenced block, as CommonMark has it."""
SEARCH, MIDDLE, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
PATH = re.compile(r"[^\s`*<>\"'|]+\Z")
"""What a path before a SEARCH block looks like."""
LONGEST_PATH = 1024
"""Characters of the line that it stands on."""

INTRODUCTION = """# Tools

To use a tool, write a block like this one, beginning at the start of a line:

```tool NAME
parameter: value on one line
parameter <<END
value of several lines, raw: nothing in it is escaped
END
```

Then stop: the result comes in the next message. What stands in a quote, a list or another block is not run."""
EDITING = """To change a file, write its path and the whole lines to replace, copied exactly from the file:

path/to/file
<<<<<<< SEARCH
old lines
=======
new lines
>>>>>>> REPLACE"""


def ends_fence(line: str, fence: str) -> bool:
    """Whether this line closes a block that was opened with ``fence``."""
    text = line.strip()
    return len(line) - len(line.lstrip(" ")) <= 3 and len(text) >= len(fence) and not text.strip(fence[0])


def path_of(line: str) -> str:
    """The path that a line is, without the marks that models put around one; empty when it is none."""
    text = line.strip().strip("*").strip("`").removesuffix(":").strip("`")
    return text if PATH.match(text) and not line[0].isspace() and len(line) <= LONGEST_PATH else ""
