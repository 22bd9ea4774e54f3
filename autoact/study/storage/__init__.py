"""Trials, notes and leases in an Optuna storage."""
