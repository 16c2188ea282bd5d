"""The web pages: each parses its request, calls the functions below, and shows."""
