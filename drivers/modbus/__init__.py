"""Modbus meters, described by register maps."""
