"""Label a folder of photos, with workers or a cluster, and resume after a stop.

`run.py` runs the batch; `worker.py` labels one photo. May import `export` and the packages below
it.
"""
