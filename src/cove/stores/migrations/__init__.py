"""Alembic's migrations; ``stores.schema`` runs them."""
