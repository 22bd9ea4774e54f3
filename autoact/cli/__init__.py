"""The command line, a file per verb. Nothing heavy is imported before a verb runs."""
