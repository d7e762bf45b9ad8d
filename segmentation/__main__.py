"""`python -m segmentation`: label photos and write files; see `cli.py`."""

import sys

from segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main())
