"""Estimators of scikit-learn that choose their activations."""
