"""Losses, metrics, optimizers and schedules."""
