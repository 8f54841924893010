"""Bounds that the host sets for every plugin, whatever its grant says."""

from dataclasses import asdict, dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class HostLimits:
    """Seconds are wall time: they only abort. Fuel decides, since it is the same on every machine.

    The parent's deadline is the guest's plus `grace_s`: it alone ends a host call that hangs and
    the conversion of a huge argument, which neither fuel nor the epoch can interrupt.
    """

    guest_s: float = 3.0
    grace_s: float = 2.0
    admission_s: float = 60.0  # compiling an 18 MB component takes 12 s of a core
    component_bytes: int = 24 * MIB
    reply_bytes: int = 4 * MIB
    address_space_bytes: int = 2048 * MIB
    host_calls: int = 10_000
    submissions: int = 4
    log_lines: int = 50
    text_chars: int = 500
    refusals_kept: int = 20
    failures_to_quarantine: int = 3

    def as_json(self) -> dict[str, float]:
        """For the worker process."""
        return asdict(self)
