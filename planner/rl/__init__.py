"""Learned control policies: an environment from any twin, training, and the roll-out to a plan."""
