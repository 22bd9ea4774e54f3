"""The parts of a search: what is known before it, how it is spread, which files it writes."""
