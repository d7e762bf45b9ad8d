"""Distillation: teachers, the files with their outputs, and hints from their features."""
