"""Images of algorithms: brought from registries and archives, checked, unpacked, shared between jobs, cleaned."""
