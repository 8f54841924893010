"""The intent compiler, forecasts and dispatch planning."""
