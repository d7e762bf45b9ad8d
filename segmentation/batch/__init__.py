"""A folder of photos: found, shared among workers or a cluster, resumed after a stop.

`run.py` is the way through, `worker.py` labels one photo. Imports `export` and what lies below it.
"""
