"""Pixelwise: drag a photo into the page and see every pixel labelled.

`python app.py --help` lists the options. Importing this module builds the page as `demo` and starts
nothing: no server, no network, no weights. The page's parts are put together in `page/demo.py`; the
command `pixelwise` of an installed package starts the same page.
"""

from page.demo import build_demo
from page.main import main as run
from page.options import Options


def main() -> None:
    """Serve the page as the command line asks, until a signal ends it."""
    run("app.py")


if __name__ == "__main__":
    main()
else:
    demo = build_demo(Options())
