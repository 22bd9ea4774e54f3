"""Floor 0: errors, lazy imports, plain records, Pareto maths, statistics. No torch, no optuna, no mlflow."""
