"""The emulated plant's fixed properties. They belong to the plant alone.

A twin is fitted to telemetry; whoever reads this file to tune one has tested nothing.
"""

from scenarios.emulated_microgrid.envelope import ZoneDesign

ZONES = {
    "zone_north": ZoneDesign(
        air_kj_k=3600.0, mass_kj_k=42_000.0, wall_kj_k=9500.0,
        air_mass=2.4, air_wall=1.6, wall_wall=0.68, wall_out=3.0,
        window=0.21, leak=0.07, leak_wind=0.016, leak_stack=0.002, door=0.22,
        glass_m2=11.0, facade_m2=30.0,
        radiator_kw=0.60, radiator_kj_k=650.0, flow_kg_s=0.95,
    ),
    "zone_south": ZoneDesign(
        air_kj_k=4200.0, mass_kj_k=52_000.0, wall_kj_k=11_500.0,
        air_mass=2.8, air_wall=1.9, wall_wall=0.74, wall_out=3.4,
        window=0.29, leak=0.08, leak_wind=0.018, leak_stack=0.0024, door=0.26,
        glass_m2=16.0, facade_m2=34.0,
        radiator_kw=0.72, radiator_kj_k=760.0, flow_kg_s=1.15,
    ),
}  # fmt: skip
COUPLING_KW_K = 0.16  # through the partition between the two zones
PARTITION_DOOR_KW_K = 0.25  # more while people move about
PUMP_KW = 0.12  # circulation while a valve is open
CONTROLS_KW = 0.10  # cabinets, standby of heat pump and battery
