"""Populations: many candidates of one task trained at once, each as if it trained alone."""

from autoact.training.population.probe import Probed, probe
from autoact.training.population.session import PopulationSession

__all__ = ["PopulationSession", "Probed", "probe"]
