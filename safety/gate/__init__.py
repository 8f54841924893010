"""The gate: its own process beside the plant, which writes under leases and takes back."""
