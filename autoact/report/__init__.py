"""Floor 8: what people read: compute first, then draw."""
