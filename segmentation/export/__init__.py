"""Write results to files: label map, overlay, JSON records, tables, a ZIP, a contact sheet.

`files.py` writes files atomically; `records.py` defines the JSON objects. May import `inference`
and the packages below it.
"""
