"""The command `pixelwise`, which is `python -m page` as well."""

import sys


def main(program: str = "pixelwise") -> None:
    """Serve the page as the command line asks, until a signal ends it.

    Args:
        program: the command's name in `--help` and in errors; `running` has the exit statuses.
    """
    try:
        from page.main import main as run  # Gradio takes seconds, in which Ctrl-C may come

        run(program)
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
