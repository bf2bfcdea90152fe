"""``python -m voxbench``: the command line."""

import sys

from voxbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
