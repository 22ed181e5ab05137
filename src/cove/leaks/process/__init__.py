"""The process in which files are read: its confinement, its start, and how it is spoken with."""
