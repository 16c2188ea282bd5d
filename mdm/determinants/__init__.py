"""Billing determinants: pure, exact arithmetic over thousands of usage points at once."""
