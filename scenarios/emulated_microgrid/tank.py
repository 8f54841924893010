"""The buffer tank: six layers, plug flow between them, conduction, buoyant mixing, losses.

Layer 0 is at the top. The heat pump draws below the middle and returns to the top; the emitters
draw from the top and return to the bottom, so the lowest layers only follow the return.
"""

from dataclasses import dataclass

from scenarios.emulated_microgrid.envelope import WATER_KJ_PER_KG_K

LAYERS = 6
INTAKE_LAYER = 4  # where the heat pump draws from
SENSOR_LAYER = 2  # the one sensor sits in the third layer from the top
CONDUCTION_KW_K = 0.02
LOSS_KW_K = 0.0009  # each layer
ROOM_DEGC = 18.0
DENSITY_KG_L = 0.99


@dataclass(slots=True)
class TankState:
    """Layer temperatures from the top, and what went in and out since the start (kWh)."""

    layers: list[float]
    litres: float
    charged_kwh: float = 0.0
    drawn_kwh: float = 0.0
    lost_kwh: float = 0.0

    @property
    def layer_kj_k(self) -> float:
        """Heat capacity of one layer."""
        return self.litres * DENSITY_KG_L * WATER_KJ_PER_KG_K / LAYERS

    @property
    def stored_kwh(self) -> float:
        """Heat above 0 degC."""
        return sum(self.layers) * self.layer_kj_k / 3600.0


def step_tank(
    s: TankState, dt: float, charge_kw: float, charge_kg_s: float, draw_kw: float, draw_kg_s: float
) -> None:
    """Move the tank by `dt` seconds.

    charge_kw into the flow that the heat pump takes from its layer and returns to the top;
    draw_kw out of the flow that the emitters take from the top and return to the bottom.
    """
    t, cap = s.layers, s.layer_kj_k
    c = WATER_KJ_PER_KG_K
    kw = [0.0] * LAYERS
    for i in range(LAYERS - 1):
        net = (charge_kg_s if i < INTAKE_LAYER else 0.0) - draw_kg_s  # downwards
        carried = c * net * (t[i] if net > 0 else t[i + 1])
        exchanged = carried + CONDUCTION_KW_K * (t[i] - t[i + 1])
        kw[i] -= exchanged
        kw[i + 1] += exchanged
    taken = c * charge_kg_s * t[INTAKE_LAYER]
    kw[INTAKE_LAYER] -= taken
    kw[0] += taken + charge_kw - c * draw_kg_s * t[0]
    kw[-1] += c * draw_kg_s * t[0] - draw_kw
    lost = 0.0
    for i in range(LAYERS):
        loss = LOSS_KW_K * (t[i] - ROOM_DEGC)
        lost += loss
        t[i] += dt * (kw[i] - loss) / cap
    _mix(t)
    hours = dt / 3600.0
    s.charged_kwh += charge_kw * hours
    s.drawn_kwh += draw_kw * hours
    s.lost_kwh += lost * hours


def _mix(t: list[float]) -> None:
    """Colder water above warmer water overturns: neighbours pool until none stands so."""
    if all(t[i] >= t[i + 1] for i in range(LAYERS - 1)):
        return
    pools: list[tuple[float, int]] = []  # mean temperature and number of layers, from the top
    for value in t:
        mean, count = value, 1
        while pools and pools[-1][0] < mean:
            above, n = pools.pop()
            mean = (above * n + mean * count) / (n + count)
            count += n
        pools.append((mean, count))
    t[:] = [mean for mean, count in pools for _ in range(count)]
