"""Floor 4: the recommendation file. Needs torch and PyYAML alone."""

from autoact.recommendation.recommendation import Policy, Recommendation, load_recommendation

__all__ = ["Policy", "Recommendation", "load_recommendation"]
