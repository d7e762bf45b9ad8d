"""Pixelwise: drag a photo into the page and see every pixel labelled.

`python app.py --help` lists the options. Importing this module builds the page as `demo` and starts
nothing: no server, no network, no weights. The page's parts are put together in `page/demo.py`; the
command `pixelwise` of an installed package starts the same page.
"""

from page.__main__ import main

if __name__ == "__main__":
    main("app.py")
else:
    from page.demo import build_demo
    from page.options import Options

    demo = build_demo(Options())
