"""EnergyPlus buildings as plants (https://energyplus.net), through the package pyenergyplus-lbnl.

The engine runs in a process of its own, one a plant: it is not thread safe, has no state that could
be saved, and a fatal error must not take the caller down.
"""
