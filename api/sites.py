"""Where the demonstration's site is, and sentences compiled on a site without anything heavy."""

from pathlib import Path

from api.second_reader import configured_reader
from api.times import parse_local
from graph.intent import Reading
from graph.sitepack import load_site
from planner.intent.second_reader import read_twice

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
DEMO_SITE = SCENARIOS / "microgrid"
OFFICE_SITE = SCENARIOS / "office_small"
PROCESS_SITE = SCENARIOS / "process"


def compile_text(text: str, folder: Path | None, at: str | None) -> Reading:
    """Compile and restate. Without a time it is the end of the pack's telemetry."""
    pack = load_site(folder or DEMO_SITE)
    now = parse_local(at, pack.site.time_zone) if at else pack.telemetry().end
    return read_twice(text, pack.site, now, "operator", configured_reader())
