"""Training steps of many members as one, under ``torch.func.vmap``."""
