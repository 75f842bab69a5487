"""Runs: what they need and will take, files for a worker process, the queue, and what can go wrong."""
