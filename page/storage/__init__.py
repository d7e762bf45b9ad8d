"""The page's private temporary folder, and the deletion of its files.

`temp_folder.py` creates and removes the folder, `temp_files.py` deletes old files and excess ones.
Imports nothing of the page.
"""
