"""The classroom: nine views that explain a pixel's label.

`session.py` has what the views share, `figures.py` and `drawings.py` make their figures. May import
`page.components`, `page.service` and `segmentation.explain`.
"""
