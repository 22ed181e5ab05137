"""Cove: other people's algorithms on private data, and nothing out but checked results."""

__version__ = "0.1.0"
