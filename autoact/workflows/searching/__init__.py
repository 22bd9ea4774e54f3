"""The parts of a search: what is told before it, how it is spread, which files it writes."""
