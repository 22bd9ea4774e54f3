"""Floor 1: errors, lazy imports, plain records. Needs the standard library alone."""
