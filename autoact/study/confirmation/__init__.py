"""The final check: fresh seeds on validation rows choose, others on the sealed test part claim."""
