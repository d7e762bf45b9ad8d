"""Pixelwise: drag a photo into the page and see every pixel labelled.

`python app.py --help` lists the options. Importing this module builds the page as `demo` and starts
no server, opens no network connection and loads no weights. `page/demo.py` builds the page; the
command `pixelwise` of an installed package starts the same page.
"""

from page.__main__ import main

if __name__ == "__main__":
    main("app.py")
else:
    from page.demo import build_demo
    from page.options import Options

    demo = build_demo(Options())
