"""Floor 3: the serving target: its settings and price, clocks, and the latency table measured in the real model."""
