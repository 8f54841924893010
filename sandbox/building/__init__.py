"""The twin of a building with air units, learned from its telemetry."""
