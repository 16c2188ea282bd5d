"""Export formats: what is sent to the invoicing system, one module a format."""
