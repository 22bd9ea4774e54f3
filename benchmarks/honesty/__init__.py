"""False recommendations, power and coverage of the final check: ``python -m benchmarks.honesty``."""
