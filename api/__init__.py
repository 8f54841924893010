"""Command line, HTTP service, wiring and reports."""
