"""Floor 3: the search space: sites x activations and training settings, as Optuna dimensions."""
