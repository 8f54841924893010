"""One zone of the test office, its weather, and hostile variants of a network's file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from graph.telemetry import Frame
from sandbox.building.parameters import drawing_board
from sandbox.building.twin import BuildingTwin
from sandbox.parameters import load_parameters, save_parameters
from tests.office import office

START = datetime(2026, 1, 5, 0, 15, tzinfo=UTC)
DAYS = 20
FOLDER = Path(__file__).parent / "data" / "surrogate"


def make_twin() -> BuildingTwin:
    """A twin of one room, from the drawing board as it was when its surrogate was trained."""
    return BuildingTwin(office(("core",)), load_parameters(FOLDER / "twin.json"))


def write_shipped() -> None:
    """Make the files of `data/surrogate` again: python -m tests.surrogate_office."""
    from sandbox.surrogates.make import surrogate_of_twin
    from sandbox.surrogates.manifest import MANIFEST_FILE, NETWORK_FILE, save_manifest

    FOLDER.mkdir(exist_ok=True)
    claimed = drawing_board(office(("core",)), claim_fit_for_control=True)
    save_parameters(FOLDER / "twin.json", claimed)
    made = surrogate_of_twin(make_twin(), recorded_weather(), "residual", 0, effort=0.25)
    (FOLDER / NETWORK_FILE).write_bytes(made.network)
    save_manifest(FOLDER / MANIFEST_FILE, made.manifest)


def recorded_weather() -> Frame:
    """Twenty days of weather and load with a day's rhythm; the room at rest."""
    rows = DAYS * 96
    hour = (np.arange(rows) + 1) / 4 % 24
    generator = np.random.default_rng(3)
    daily = np.repeat(generator.normal(0, 3, DAYS), 96)
    sun = np.maximum(0, np.sin((hour - 7) / 10 * np.pi)) * (hour < 17) * (hour > 7)
    busy = (hour > 7) & (hour < 18)
    zeros = {n: np.zeros(rows) for n in ("grid.power_kw", "unit_core.power_kw")}
    return Frame(START, 900, {
        **zeros, "building.power_kw": 0.5 + 4.0 * busy,
        "outdoor.temp_degc": 10 + daily + 6 * np.sin((hour - 9) / 12 * np.pi),
        "outdoor.ghi_w_m2": 600 * sun, "zone_core.temp_degc": np.full(rows, 20.0),
        "zone_core.heat_kw": np.zeros(rows),
    })  # fmt: skip


def message(number: int, data: bytes) -> bytes:
    """A protocol buffer's field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """A protocol buffer's number."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def hostile(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(what is wrong, file) of files that a runtime must never see."""
    from sandbox.surrogates.protobuf_wire import fields

    def remade(change_graph: bytes = b"", extra: bytes = b"") -> bytes:
        found = b""
        for number, wire, value in fields(data):
            if number == 7:
                assert isinstance(value, bytes)
                found += message(7, value + change_graph)
            elif wire == 0:
                found += varint(number << 3) + varint(int(value))
            else:
                assert isinstance(value, bytes)
                found += message(number, value)
        return found + extra

    assert remade() == data
    outside = message(13, message(1, b"location") + message(2, b"/etc/passwd"))
    stray = message(8, b"stray") + varint(1 << 3) + varint(1) + varint(2 << 3) + varint(1)
    node = message(1, b"x") + message(2, b"stolen")
    huge = varint(1 << 3) + varint(1 << 40) + varint(2 << 3) + varint(1) + message(8, b"w9")
    yield "external data", remade(message(5, stray + outside + varint(14 << 3) + varint(1)))
    yield "a local function", remade(extra=message(25, message(1, b"Gemm")))
    yield "training information", remade(extra=message(20, b""))
    yield "a custom domain", remade(message(1, node + message(4, b"Relu") + message(7, b"evil")))
    yield "an unknown operator", remade(message(1, node + message(4, b"Loop")))
    yield "a subgraph", remade(message(1, node + message(4, b"Relu") + message(5, message(6, b""))))
    yield "a second opset", remade(extra=message(8, message(1, b"evil") + varint(16) + varint(1)))
    yield "a constant larger than its bytes", remade(message(5, huge + message(9, b"\0" * 4)))
    yield (
        "a name made twice",
        remade(message(1, message(1, b"x") + message(2, b"x_next") + message(4, b"Relu"))),
    )
    yield (
        "a value that nobody makes",
        remade(message(1, message(1, b"later") + message(2, b"t99") + message(4, b"Relu"))),
    )
    yield "a sparse constant", remade(message(15, b""))
    yield "another operator in the same place", data.replace(b"Relu", b"Acos")
    yield "a file that is cut off", data[:-7]
    yield "no ONNX file", b"MZ" + bytes(64)
    yield "too many bytes", data + message(2, bytes(8 << 20))


if __name__ == "__main__":
    write_shipped()
