"""Floor 4: what is trained and how it is judged: metrics, objectives, the task."""
