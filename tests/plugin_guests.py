"""Real components of a few lines, a site to advise on, and people to sign, for plugin tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from graph.canonical import digest_bytes
from graph.signals import Owner, PointState, Reading
from graph.site import Site
from graph.sitepack import load_site
from graph.snapshot import (
    Forecast,
    History,
    PriceSeries,
    Snapshot,
    StateEstimate,
)
from plugins.host import PluginHost
from plugins.limits import HostLimits
from plugins.manifest import WORLD, Asks, PluginManifest, grant_all
from plugins.outcome import PluginRun
from plugins.signatures import sign_manifest, trusted_by
from plugins.wasmtime_wat import assemble
from safety.keys import lab_signer
from safety.trust_root import make_root

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "plugins" / "examples" / "demand_response"
START = datetime(2026, 1, 20, 8, tzinfo=UTC)
STEPS, STEP_S = 96, 900
ANNA, BORIS, STRANGER = lab_signer("Anna"), lab_signer("Boris"), lab_signer("Stranger")
TRUST = trusted_by(make_root({"engineer": [ANNA, BORIS]}, START + timedelta(days=99)), 2)
QUICK = HostLimits(guest_s=5.0, grace_s=5.0, host_calls=500)
SHORT = HostLimits(guest_s=0.3, grace_s=0.7)
ASKS = Asks(telemetry=("battery.*",), points=("battery.power_set_kw",), memory_mib=4)


def make_site() -> Site:
    return load_site(ROOT / "scenarios" / "microgrid").site


def make_snapshot(site: Site) -> Snapshot:
    hours = np.arange(STEPS) * STEP_S / 3600.0
    price = np.where((hours >= 16) & (hours < 21), 0.55, np.where(hours < 6, 0.20, 0.32))

    def forecast(signal: str, values: np.ndarray) -> Forecast:
        paths = ((0.0,) * 24,)
        column = tuple(float(v) for v in values)
        return Forecast(signal=signal, unit="kW", method="test", values=column, error_paths=paths)

    return Snapshot(
        site_id=site.id,
        site_digest="sha256:" + "0" * 64,
        twin_digest="sha256:" + "1" * 64,
        as_of=START,
        step_s=STEP_S,
        horizon_steps=STEPS,
        readings={"battery.soc_pct": Reading(value=40.0, time=START)},
        points={p.id: PointState(applied=0.0, owner=Owner.LOCAL) for p in site.setpoints},
        prices=PriceSeries(
            import_price=tuple(price), export_price=(0.05,) * STEPS, carbon_g_per_kwh=(250,) * STEPS
        ),
        forecasts=(
            forecast("building.power_kw", 12 + 3 * np.sin(hours / 4)),
            forecast("pv.power_kw", np.clip(20 * np.sin((hours - 7) / 10 * np.pi), 0, None)),
        ),
        estimate=StateEstimate(names=("x",), mean=(0.0,), covariance=((0.0,),)),
        history=History(
            start=START - timedelta(hours=24),
            step_s=STEP_S,
            signals={"hp.power_kw": (None, *(5.0 + (k % 4) for k in range(95)))},
        ),
    )


def manifest_of(component: bytes, name: str = "guest", asks: Asks = ASKS) -> PluginManifest:
    return PluginManifest(
        name=name,
        version="0.1.0",
        author="A stranger",
        component=digest_bytes(component),
        world=WORLD,
        asks=asks,
    )


def install(host: PluginHost, component: bytes, name: str = "guest", asks: Asks = ASKS) -> None:
    manifest = manifest_of(component, name, asks)
    host.install(sign_manifest(manifest, ANNA, BORIS), component, grant_all(manifest))


def advise(body: str, data: str = "") -> bytes:
    """A real component whose `propose` runs `body`; texts of the tests lie from 256 on."""
    texts = (
        '(data (i32.const 256) "battery.power_set_kw") (data (i32.const 288) "kW")'
        '(data (i32.const 320) "hp.power_set_kw") (data (i32.const 352) "battery.soc_pct")'
        '(data (i32.const 384) "building.power_kw")'
    )
    return assemble(
        "guest", "0.1.0", f"{texts}{data}(func $advise (param $steps i32) (local $i i32) {body})"
    )


def setpoints(
    value: str = "(f64.const 5)",
    point: str = "(i32.const 256) (i32.const 20)",
    unit: str = "(i32.const 288) (i32.const 2)",
    count: str = "(local.get $steps)",
) -> str:
    column = f"(call $column {value} (local.get $steps))"
    return f"(call $setpoints {point} {unit} {column} {count} (i32.const 512))"


HP = "(i32.const 320) (i32.const 15)"
SUBMIT = "(call $proposal (i32.const 256) (i32.const 20) (f64.const 0.5) (i32.const 512))"
FOREVER = "(loop $again {} (br $again))"


def once(
    site: Site, snapshot: Snapshot, component: bytes, limits: HostLimits = QUICK, asks: Asks = ASKS
) -> PluginRun:
    with PluginHost(TRUST, limits) as host:
        install(host, component, asks=asks)
        return host.run("guest", snapshot, site)


QUIET = advise("")
