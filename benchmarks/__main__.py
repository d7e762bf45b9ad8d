"""`python -m benchmarks`: run every benchmark and write the tables of `benchmarks/README.md`."""

import sys

from benchmarks.report.render import main

if __name__ == "__main__":
    sys.exit(main())
