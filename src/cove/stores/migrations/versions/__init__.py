"""One module per revision; each also stands in ``tables.REVISIONS``."""
