"""The plant of the microgrid pack: an emulator and the OPC UA server in front of it."""

from scenarios.emulated_microgrid.plant import EmulatedPlant

__all__ = ["EmulatedPlant"]
