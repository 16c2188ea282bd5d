"""Meters and gateways that publish over MQTT."""
