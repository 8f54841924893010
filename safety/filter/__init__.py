"""The predictive safety filter: certifies moves that others propose, by a model."""
