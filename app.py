"""Pixelwise: drag a photo into the page and see every pixel labelled.

`python app.py --help` lists the options. Importing this module builds the page as `demo` and starts
nothing: no server, no network, no weights. The page's parts are put together in `page/app.py`, from
which the command `pixelwise` of an installed package starts the same page.
"""

from page.app import build_demo, running
from page.options import Options
from page.server import wait_for_signal

if __name__ == "__main__":
    with running("app.py") as demo:
        wait_for_signal()
else:
    demo = build_demo(Options())
