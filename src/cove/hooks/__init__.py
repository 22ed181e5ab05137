"""Servers of a site's own that Cove talks to: asked before something is done, told afterwards."""
