"""A plant of the laboratory behind OPC UA: signals as variables, writing and faults as methods.

Namespace: the site's. `s=<signal>` holds each signal (SourceTimestamp is plant time), and beside
each setpoint stand `#owner`, `#lease_until`, `#by`, `#until`. The object `s=plant` has `#time`,
`#epoch`, `#remote_allowed`, `#watchdog_healthy` and the methods. Variables cannot be written:
commands go through `write`, which checks owner, epoch, sequence and range. Raw history of every
signal comes from the plant's own log. The server listens on the local interface, without
encryption: it is a laboratory's plant.
"""

import asyncio
import json
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graph.errors import InputError, PilothouseError, UnavailableError
from graph.plant import LeasedSetpoint, WriteResult
from graph.record import iso, parse_iso
from graph.signals import Quality, Role
from graph.site import Site
from graph.sitepack import load_site
from scenarios.leased_plant import LeasedPlant
from scenarios.plants import build_plant

log = logging.getLogger(__name__)
TICK_S = 0.2
STEP_S = 10  # a running clock moves the plant by so much at a time
ADVANCE_CHUNK_S = 3600  # between chunks the server answers others, heartbeats among them
MAX_ADVANCE_S = 31 * 86_400


def serve(
    site_dir: Path, port: int | None, start: datetime, seed: int, log_path: Path | None = None,
    stop_event: threading.Event | None = None,
    ready_callback: Callable[[str], None] | None = None,
    *, watchdog_s: float = 10.0, speed: float = 0.0,
) -> None:  # fmt: skip
    """Serve the pack's plant until `stop_event` is set; then write its log to `log_path`.

    Args:
        port: TCP port; None takes the one of the site's endpoint.
        ready_callback: called with the endpoint once clients can connect.
        watchdog_s: wall seconds without a heartbeat before remote points turn local.
        speed: plant seconds a wall second; 0 moves time by the method `advance` alone.

    Raises:
        InputError, SitePackError: the pack, the start or the speed is unusable.
        UnavailableError: the port is taken, or what the plant needs is not there.
    """
    if not (math.isfinite(speed) and speed >= 0):
        raise InputError(f"a plant cannot run at speed {speed}", "expected 0 or more")
    pack = load_site(site_dir)
    plant = build_plant(pack, start, seed)
    plant.arm_watchdog(watchdog_s)
    server = PlantServer(pack.site, plant)
    stop = stop_event or threading.Event()
    try:
        asyncio.run(server.run(port, stop, ready_callback, speed))
    except OSError as error:
        raise UnavailableError(f"port {port} cannot be opened: {error}", "is it taken?") from error
    finally:
        if log_path is not None:
            plant.write_log(log_path)
        plant.close()


class PlantServer:
    """Keeps the address space equal to the plant: pushed after each change and each tick."""

    def __init__(self, site: Site, plant: LeasedPlant) -> None:
        self.site = site
        self.plant = plant
        self._lock = asyncio.Lock()
        self._server: Any = None
        self._index = 0

    async def run(
        self, port: int | None, stop: threading.Event,
        ready: Callable[[str], None] | None, speed: float,
    ) -> None:  # fmt: skip
        """Serve until `stop` is set."""
        from asyncua import Server, ua

        from scenarios.opcua_history import LogHistory

        self._server = Server()
        self._server.iserver.history_manager.set_storage(LogHistory(self.plant))
        await self._server.init()
        url = urlsplit(self.site.plant.endpoint)
        endpoint = f"opc.tcp://127.0.0.1:{port or url.port or 4840}{url.path or '/'}"
        self._server.set_endpoint(endpoint)
        self._server.set_server_name(f"{self.site.name} (laboratory)")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self._index = await self._server.register_namespace(self.site.plant.namespace)
        await self._build()
        await self._push()
        async with self._server:
            if ready is not None:
                ready(endpoint)
            await self._tick(stop, speed)

    async def _tick(self, stop: threading.Event, speed: float) -> None:
        owed_s, loop = 0.0, asyncio.get_running_loop()
        last = loop.time()
        while not stop.is_set():
            await asyncio.sleep(TICK_S)
            now = loop.time()
            owed_s, last = owed_s + speed * (now - last), now
            due = int(owed_s // STEP_S) * STEP_S
            if due:
                owed_s -= due
                await self._advance(due)
            was_healthy = self.plant.watchdog_healthy
            if self.plant.check_watchdog() != was_healthy:
                log.warning("no heartbeat: every remote point is back under the local law")
                await self._push()

    # --- address space ------------------------------------------------------------------------

    async def _build(self) -> None:
        from asyncua import ua

        objects = self._server.nodes.objects
        folder = await objects.add_folder(self._id("signals"), self._name("signals"))
        for spec in self.site.signals:
            node = await self._variable(folder, spec.id, 0.0, ua.VariantType.Double)
            for bit in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
                await node.set_attr_bit(bit, ua.AccessLevel.HistoryRead)
            await node.write_attribute(
                ua.AttributeIds.Historizing, ua.DataValue(ua.Variant(True, ua.VariantType.Boolean))
            )
            if spec.role is Role.SETPOINT:
                for suffix in ("owner", "lease_until", "by", "until"):
                    name = f"{spec.id}#{suffix}"
                    await self._variable(folder, name, "", ua.VariantType.String)
        plant = await objects.add_object(self._id("plant"), self._name("plant"))
        await self._variable(plant, "plant#time", self.plant.time, ua.VariantType.DateTime)
        await self._variable(plant, "plant#epoch", 0, ua.VariantType.Int64)
        for name in ("plant#remote_allowed", "plant#watchdog_healthy"):
            await self._variable(plant, name, True, ua.VariantType.Boolean)
        await self._methods(plant)

    async def _variable(self, parent: Any, name: str, value: Any, kind: Any) -> Any:
        return await parent.add_variable(self._id(name), self._name(name), value, kind)

    def _id(self, name: str) -> Any:
        from asyncua import ua

        return ua.NodeId(name, self._index)

    def _name(self, name: str) -> Any:
        from asyncua import ua

        return ua.QualifiedName(name, self._index)

    async def _push(self) -> None:
        """Write the plant's present image into the address space."""
        from asyncua import ua

        image, kinds = self.plant.image(), ua.VariantType
        for name, reading in image.values.items():
            status = _STATUS[reading.quality]
            value = None if reading.value is None else ua.Variant(reading.value, kinds.Double)
            await self._set(name, value or ua.Variant(None), reading.time, status)
        for name, state in image.points.items():
            for suffix, text in (
                ("owner", state.owner.value), ("by", state.by),
                ("lease_until", iso(state.lease_until) if state.lease_until else ""),
                ("until", iso(state.until) if state.until else ""),
            ):  # fmt: skip
                await self._set(f"{name}#{suffix}", ua.Variant(text, kinds.String), image.time)
        for name, item in (
            ("time", ua.Variant(image.time, kinds.DateTime)),
            ("epoch", ua.Variant(image.epoch, kinds.Int64)),
            ("remote_allowed", ua.Variant(image.remote_allowed, kinds.Boolean)),
            ("watchdog_healthy", ua.Variant(image.watchdog_healthy, kinds.Boolean)),
        ):
            await self._set(f"plant#{name}", item, image.time)

    async def _set(self, name: str, value: Any, when: datetime, status: str = "Good") -> None:
        from asyncua import ua

        code = ua.StatusCode(getattr(ua.StatusCodes, status))
        await self._server.write_attribute_value(self._id(name), ua.DataValue(value, code, when))

    # --- methods ------------------------------------------------------------------------------

    async def _methods(self, plant: Any) -> None:
        for name, (method, inputs, outputs) in self._table().items():
            await plant.add_method(
                self._id(f"plant/{name}"), self._name(name), self._guarded(method),
                [_argument(*item) for item in inputs], [_argument(*item) for item in outputs],
            )  # fmt: skip

    def _table(self) -> dict[str, tuple[Callable[..., Any], Sequence[Any], Sequence[Any]]]:
        """Method name -> what it calls, its inputs and outputs as (name, type, is array)."""
        fence = (("epoch", "Int64", False), ("seq", "Int64", False))
        points, reasons = ("points", "String", True), (("reasons", "String", True),)
        point = ("point", "String", False)
        plant = self.plant
        return {
            "claim": (
                plant.claim, (("gate_id", "String", False),), (("epoch", "Int64", False),)
            ),
            "write": (
                self._write,
                (*fence, points, ("values", "Double", True), ("ttl_s", "Double", True)), reasons,
            ),
            "release": (self._release, (*fence, points), reasons),
            "heartbeat": (plant.heartbeat, (fence[0],), ()),
            "advance": (self._advance, (("dt_s", "Double", False),), ()),
            "inject_fault": (
                self._inject, (("name", "String", False), ("parameters_json", "String", False)), ()
            ),
            "clear_faults": (plant.clear_faults, (), ()),
            "operator_write": (
                self._operator_write,
                (point, ("value", "Double", False), ("by", "String", False),
                 ("until_iso", "String", False)), (),
            ),
            "operator_hand_back": (plant.operator_hand_back, (point,), ()),
            "set_remote_allowed": (
                plant.set_remote_allowed, (("allowed", "Boolean", False),), ()
            ),
        }  # fmt: skip

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """Unpack the arguments, call, push; a refusal becomes a status code and a log line."""
        from asyncua import ua

        async def call(parent: Any, *arguments: Any) -> Any:
            del parent
            try:
                result = method(*(a.Value for a in arguments))
                if asyncio.iscoroutine(result):
                    result = await result
            except (PilothouseError, ValueError, TypeError) as error:
                log.warning("%s refused: %s", getattr(method, "__name__", "call"), error)
                return ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
            if method != self.plant.heartbeat:  # a heartbeat changes nothing that is shown
                await self._push()
            if result is None:
                return []
            if isinstance(result, list):
                return [ua.Variant(result, ua.VariantType.String, is_array=True)]
            return [ua.Variant(result, ua.VariantType.Int64)]

        return call

    def _write(
        self, epoch: int, seq: int, points: list[str], values: list[float], ttl_s: list[float]
    ) -> list[str]:
        if not len(points or ()) == len(values or ()) == len(ttl_s or ()):
            raise InputError("points, values and ttl_s differ in length")
        # A lease that cannot be a record (ttl <= 0 or not finite) is refused by itself.
        items = list(zip(points or (), values or (), ttl_s or (), strict=True))
        sound = {i for i, (_, v, t) in enumerate(items) if _finite(v) and _finite(t) and t > 0}
        leases = [
            LeasedSetpoint(point=p, value=v, ttl_s=t)
            for i, (p, v, t) in enumerate(items) if i in sound
        ]  # fmt: skip
        answers = iter(_reasons(self.plant.write(epoch, seq, leases)))
        return [next(answers) if i in sound else "bad_value" for i in range(len(items))]

    def _release(self, epoch: int, seq: int, points: list[str]) -> list[str]:
        return _reasons(self.plant.release(epoch, seq, points or []))

    async def _advance(self, dt_s: float) -> None:
        if not 0 < dt_s <= MAX_ADVANCE_S:
            raise InputError(f"cannot advance by {dt_s} s", f"expected at most {MAX_ADVANCE_S} s")
        async with self._lock:
            while dt_s > ADVANCE_CHUNK_S:
                self.plant.advance(ADVANCE_CHUNK_S)
                dt_s -= ADVANCE_CHUNK_S
                await asyncio.sleep(0)
            self.plant.advance(dt_s)
        await self._push()

    def _inject(self, name: str, parameters_json: str) -> None:
        parameters = json.loads(parameters_json or "{}")
        if not isinstance(parameters, dict):
            raise InputError("a fault's parameters are a JSON object")
        self.plant.inject_fault(name, **parameters)

    def _operator_write(self, point: str, value: float, by: str, until_iso: str) -> None:
        until = parse_iso(until_iso) if until_iso else None
        self.plant.operator_write(point, value, by, until)


_STATUS = {
    Quality.GOOD: "Good", Quality.UNCERTAIN: "Uncertain", Quality.BAD: "BadNoData",
}  # fmt: skip


def _reasons(results: Sequence[WriteResult]) -> list[str]:
    return [r.reason for r in results]


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _argument(name: str, kind: str, is_array: bool) -> Any:
    from asyncua import ua

    argument = ua.Argument()
    argument.Name = name
    argument.DataType = ua.NodeId(getattr(ua.ObjectIds, kind))
    argument.ValueRank = 1 if is_array else -1
    argument.ArrayDimensions = [0] if is_array else []
    argument.Description = ua.LocalizedText("")
    return argument


def default_start(site: Site) -> datetime:
    """Midnight of the demonstration day, 2026-01-20, at the site."""
    return datetime(2026, 1, 20, tzinfo=site.zone_info).astimezone(UTC)
