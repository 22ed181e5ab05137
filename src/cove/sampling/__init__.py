"""Makes synthetic samples: tables that have the schema and the rough form of another, and none of its values."""
