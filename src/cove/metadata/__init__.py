"""Where published assets are looked up: in the chain's own events, or in a cache beside it."""
