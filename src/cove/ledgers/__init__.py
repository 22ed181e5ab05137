"""Chains: orders, assets and their owners, read over JSON-RPC."""
