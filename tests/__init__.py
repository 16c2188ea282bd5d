"""The tests; a package, so that no dependency that ships one of this name stands in its way."""
