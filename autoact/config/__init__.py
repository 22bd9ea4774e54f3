"""Floor 10: the configuration: typed schemas, composition with Hydra, and what is built from it."""
