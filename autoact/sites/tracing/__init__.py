"""A model run once on an example: which layers stand around an activation."""
