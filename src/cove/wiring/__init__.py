"""The one place where concrete classes meet: Settings become a Cove, or those of its parts that a command works with.

``assembly.open_cove`` opens the whole of it. Nothing is imported here: a command that opens a part or two does not load
the chains, stores and engines of all.
"""
