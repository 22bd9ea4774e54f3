"""What runs in a worker process, and what is sent to it."""
