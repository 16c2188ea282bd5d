"""Validation, estimation and scaling as arithmetic on arrays."""
