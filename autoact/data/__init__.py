"""Floor 3: data sources, checks, splits, fitted preprocessing, and a sealed test part. No optuna, no mlflow."""
