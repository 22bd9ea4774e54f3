"""What becomes of models of other packages: ``python -m benchmarks.compatibility``."""
