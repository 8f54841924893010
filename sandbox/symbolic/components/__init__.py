"""Behavioural models with units, published equations and parameters that can be fitted."""
