"""The router, the four specialised agents, the ops copilot and the explanations."""
