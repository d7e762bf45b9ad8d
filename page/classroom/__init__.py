"""The lesson: from a pixel's label back to why, in nine views.

`session.py` holds what the views share, `figures.py` and `drawings.py` make their pictures. Imports
`page.components`, `page.service` and `segmentation.explain`.
"""
