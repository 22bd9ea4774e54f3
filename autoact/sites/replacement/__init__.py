"""Put activations into a model, and keep what says so when it is saved and loaded."""
