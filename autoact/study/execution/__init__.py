"""Trials trained in batches, with pauses at rungs."""
