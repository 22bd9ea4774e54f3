"""Calls in the source of a method, turned into calls of submodules."""
