"""Published process models, each in its own units with its published operating points."""
