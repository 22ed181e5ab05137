"""What Alembic runs first. Cove's ``stores.schema`` starts it with a connection; there is no other way to run it."""

from __future__ import annotations

from alembic import context

from cove.stores.schema import VERSION_TABLE
from cove.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite can change tables within a transaction, once its driver does not commit behind our back.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
