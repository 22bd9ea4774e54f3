"""The user's own Lightning module, data and callbacks as a task, from objects or from references in a configuration."""
