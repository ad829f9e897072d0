"""`python -m offhook` and the `offhook` command."""

import sys

from offhook.cli.root import command


def main() -> None:
    """Run the command line: exit 0 done, 1 refused, 2 used wrongly."""
    sys.exit(command())


if __name__ == "__main__":
    main()
