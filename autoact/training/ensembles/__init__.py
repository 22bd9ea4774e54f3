"""Several trained networks as one module."""
