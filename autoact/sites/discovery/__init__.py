"""Which activations a model has, and what each is used for."""
