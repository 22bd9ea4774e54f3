"""Trained models in MLflow: artifacts, registry, predictions."""
