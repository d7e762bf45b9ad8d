"""`python -m segmentation`: label photos and write files; see `cli/main.py`."""

import sys


def _main() -> int:
    try:
        from segmentation.cli.main import (
            main,  # and torch with it: seconds in which Ctrl-C may come
        )

        return main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(_main())
