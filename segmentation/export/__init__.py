"""A result as files: label map, overlay, JSON records, tables, a ZIP, a contact sheet.

`files.py` writes whole files or none; `records.py` has every JSON object. Imports `inference` and
what lies below it.
"""
