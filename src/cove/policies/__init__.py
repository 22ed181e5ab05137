"""Release policies in files that data owners keep."""
