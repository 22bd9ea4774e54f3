"""Floor 12: what a user can do, a function for each verb of the command line."""
