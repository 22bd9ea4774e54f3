"""Floor 12: the ways in: the road that every search takes, and the user's own Lightning code."""
