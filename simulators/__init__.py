"""Meters that do not exist, the truth about them, and an invoicing system."""
