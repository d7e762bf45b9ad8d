"""Label a folder of photos, with workers or a cluster, and resume after a stop.

`run.py` is the way through, `worker.py` labels one photo. Imports `export` and what lies below it.
"""
