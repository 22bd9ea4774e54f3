"""A recommendation measured again."""
