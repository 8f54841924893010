"""Functional mock-up units (FMI 2.0 and 3.0): run each in a process of its own, couple several."""
