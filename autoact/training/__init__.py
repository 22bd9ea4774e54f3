"""Floor 4: how a candidate is trained. Knows nothing of who chose it."""
