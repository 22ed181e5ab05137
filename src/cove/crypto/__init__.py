"""Keys and what they open: signatures, sealed records, encrypted documents."""
