"""Populations: many candidates of one task trained at once, each as if it trained alone."""

from autoact.training.population.session import PopulationSession
from autoact.training.population.size_probe import Probed, probe

__all__ = ["PopulationSession", "Probed", "probe"]
