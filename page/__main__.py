"""The command `pixelwise`; also `python -m page`."""

import sys


def main(program: str = "pixelwise") -> None:
    """Serve the page with the command line's options until a signal ends it.

    Args:
        program: the command's name in `--help` and in errors; `page.main.running` lists exit codes.
    """
    try:
        from page.main import main as run  # takes seconds, so Ctrl-C may interrupt it

        run(program)
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
