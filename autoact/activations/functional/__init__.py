"""The formulas: pure functions of tensors, and the fit of rational ones."""
