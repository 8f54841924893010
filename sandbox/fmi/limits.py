"""What one FMU may use, and how its own process is held to it."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class FmuLimits:
    """Bounds on one FMU: its file, its process, its answers.

    load_s, call_s: wall time to start, and to answer one call. cpu_s, memory_mb, output_mb: CPU
    time of its whole life, address space and greatest file of its process. unpacked_mb, entries:
    of the zip file.
    """

    load_s: float = 60.0
    call_s: float = 30.0
    cpu_s: int = 86_400
    memory_mb: int = 2048
    output_mb: int = 16
    unpacked_mb: int = 512
    entries: int = 20_000


def confine(cpu_s: int, memory_mb: int, output_mb: int) -> None:
    """Bind this process: what it exceeds ends it or fails, and it cannot raise the bounds again.

    Not a jail: the process still reads what its user may read and still reaches the network.
    """
    import resource
    import signal

    bounds = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_AS: memory_mb * MIB,
        resource.RLIMIT_FSIZE: output_mb * MIB,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in bounds.items():
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    # Python ignores this signal; an FMU that floods its output would go on unnoticed.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
