"""Twin models, state estimation, simulation and shadow and canary evaluation."""
