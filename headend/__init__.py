"""Collection: who is due, fetch, land, diagnose."""
