"""Bytes to readings and back, one package per protocol."""
