"""Floor 6: what people read: compute first, then draw."""
