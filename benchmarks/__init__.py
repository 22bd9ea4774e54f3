"""Measurements of speed, each a command that prints a Markdown table: ``python -m benchmarks.NAME --help``."""
