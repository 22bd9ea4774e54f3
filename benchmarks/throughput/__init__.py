"""The same search by autoact, a plain script and Ray Tune: ``python -m benchmarks.throughput``."""
