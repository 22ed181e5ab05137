"""What can be wrong with a table that a sample is wanted of."""

from __future__ import annotations

from cove.core.errors import SettingsWrong


class TableWrong(SettingsWrong):
    """A table cannot be read, or a sample not be made of it as it was asked; no text quotes a value."""

    code = "table"
