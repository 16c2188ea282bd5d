"""One module a payload convention; ``drivers.mqtt.payloads`` is the table of them."""
