"""Short, hackable Lightning modules. Copy one, change it, and search it: nothing in autoact imports them by name."""
