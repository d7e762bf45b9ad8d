"""Who runs and who waits: admission, fair order, positions, connected sessions.

`scheduler.py` is the one point that admits or refuses. It reports numbers; the tabs word them.
"""
