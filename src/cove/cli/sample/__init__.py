"""The sample of the demo: a private table, and an algorithm that a stranger would send."""
