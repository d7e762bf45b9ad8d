"""The tabs of the page: their layout, their events, and what each event does.

`label.py` is the first one. Imports everything of `page` but `demo` and `http`.
"""
