"""``python -m hearth``."""

from hearth.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
