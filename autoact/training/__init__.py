"""Floor 5: how a candidate is trained. It does not depend on what chose the candidate."""
