"""What a training holds: weights, random numbers, attributes of the module."""
