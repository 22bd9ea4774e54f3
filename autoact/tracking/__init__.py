"""Floor 9: where results are logged. Trackers watch a search; they decide nothing."""
