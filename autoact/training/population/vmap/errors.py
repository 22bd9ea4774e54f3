"""Why a population cannot go on as one: what stops it, and what the session does instead."""

from __future__ import annotations


class CannotBatchError(Exception):
    """Something in the user's code needs a training of its own; candidates go on one by one."""


class SeedsApartError(Exception):
    """Members of several seeds cannot share a population; each seed goes on in one of its own."""
