"""What is tried on a module before a search: a few steps tell what will be missing."""
