"""Everything that happens to a job: the loop, its steps, and what consumers ask of it."""
