"""A run from outside: job file, worker process, staging of results, and what it will take."""
