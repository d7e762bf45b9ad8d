"""The page's private temporary folder, and how long files stay in it.

`temp_folder.py` makes and removes the folder, `temp_files.py` deletes what is old or too much.
Imports nothing of the page.
"""
