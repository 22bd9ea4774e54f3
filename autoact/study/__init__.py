"""Floor 7: who decides. Asks, hears back records, remembers; it knows neither processes, nor devices, nor MLflow."""
