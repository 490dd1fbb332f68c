"""The error tree: one line each, and the exit codes of the command line's contract."""

import inspect
import re

from hearth import errors
from hearth.errors import HearthError

CLASSES = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, HearthError)]


def test_one_line_tells_what_and_the_mend() -> None:
    assert str(HearthError("the port is taken", "run: hearth stop")) == "the port is taken · run: hearth stop"
    assert str(HearthError("nothing helps")) == "nothing helps"


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = dict(re.findall(r"(\w+) +exit (\d)", errors.__doc__ or ""))
    assert drawn == {item.__name__: str(item.exit_code) for item in CLASSES}


def test_every_error_is_documented_and_takes_what_and_fix() -> None:
    for item in CLASSES:
        assert item.__doc__
        assert str(item("what", "fix")) == "what · fix"
