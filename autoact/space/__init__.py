"""Floor 4: the search space: sites x activations and training settings, as Optuna dimensions."""
