"""Where candidates are trained: in this process, in local worker processes, or on a Ray cluster."""
