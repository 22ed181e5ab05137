"""Servers of a site's own that Cove talks to: they are asked before something is done."""
