"""The plant's own controllers: what each setpoint is when nobody commands it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from graph.site import BaselineLaw
from graph.tariff import minutes

EASE_PCT = 3.0


class LocalLaw:
    """The site's baseline law. `heating` is the hysteresis' memory."""

    def __init__(self, law: BaselineLaw, zone: ZoneInfo) -> None:
        self.law = law
        self.zone = zone
        self.heating = False

    def zone_setpoint(self, epoch_s: int) -> float:
        """degC in force at this wall-clock time: the latest entry, or yesterday's last."""
        schedule = self.law.zone_setpoint_degc
        if len(schedule) == 1:
            return schedule[0].value
        local = datetime.fromtimestamp(epoch_s, UTC).astimezone(self.zone)
        now = local.hour * 60 + local.minute
        entries = sorted(schedule, key=lambda entry: minutes(entry.at))
        begun = [entry for entry in entries if minutes(entry.at) <= now]
        return (begun or entries)[-1].value

    def heat_pump_kw(self, tank_degc: float | None, running: bool, is_local: bool) -> float:
        """Hysteresis on the tank's sensor. While somebody else commands the machine, the law
        follows its state, so that it takes over without a bump. No reading: off."""
        tank = self.law.tank_hysteresis
        if not is_local:
            self.heating = running
        if tank_degc is None or tank_degc > tank.off_above_degc:
            self.heating = False
        elif tank_degc < tank.on_below_degc:
            self.heating = True
        return tank.power_kw if self.heating else 0.0

    def battery_kw(
        self,
        residual_kw: float,
        soc_pct: float | None,
        window: tuple[float, float],
        rated_kw: float,
    ) -> float:
        """Self-consumption: take up a surplus, cover a deficit, inside the charge window.

        The power eases off over the last 3 % before either end of the window, so that the charge,
        which is read once a minute, does not run past it.
        """
        if self.law.battery == "idle" or soc_pct is None:
            return 0.0
        wanted = min(max(-residual_kw, -rated_kw), rated_kw)
        if abs(wanted) < 0.1:
            return 0.0
        low, high = window
        room = high - soc_pct if wanted > 0 else soc_pct - low
        ease = min(max(room, 0.0) / EASE_PCT, 1.0) * rated_kw
        return min(max(wanted, -ease), ease) + 0.0  # never a negative zero
