"""A site pack loads, and whatever is wrong with one is named with file, line and field."""

import json
import math
import pickle
import shutil
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from graph.errors import SitePackError
from graph.schema_tables import field_tables
from graph.site_schema import site_json_schema
from graph.sitepack import inner_path, load_site, load_telemetry, site_digest, site_from_document
from graph.yaml_document import MAX_BYTES, parse_yaml, read_yaml

PACK = Path(__file__).parent / "data" / "site_pack"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the test pack that may be spoilt."""
    return Path(shutil.copytree(PACK, tmp_path / "pack"))


def spoil(pack: Path, old: str, new: str, file: str = "site.yaml") -> int:
    """Replace `old`, which must be there, and return the line on which it stood."""
    path = pack / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def refusal(pack: Path) -> SitePackError:
    """The error that loading everything in the pack raises."""
    with pytest.raises(SitePackError) as caught:
        load_site(pack).telemetry()
    return caught.value


def test_a_pack_loads_with_policies_series_intents_and_faults() -> None:
    loaded = load_site(PACK)
    assert loaded.site.id == "test-site"
    assert loaded.site.signal("hp.power_set_kw").zero_or_above == 4
    assert loaded.site.tariff.import_periods[1].start == "16:00"
    assert list(loaded.policies) == ["site"]
    assert [f.name for f in loaded.faults] == ["hp_stuck"]
    assert [i.name for i in loaded.intents] == ["cheap-day"]
    assert loaded.carbon is not None
    assert loaded.carbon.start == datetime(2026, 1, 20, 9, tzinfo=UTC)
    assert loaded.carbon.column("g_per_kwh").tolist() == [210.0, 205.5, 199.0]
    assert loaded.telemetry().start == datetime(2026, 1, 20, 8, 15, tzinfo=UTC)


def test_a_pack_without_policies_intents_or_faults_loads_too(pack: Path) -> None:
    shutil.rmtree(pack / "policies")
    (pack / "intents.yaml").unlink()
    (pack / "faults.yaml").unlink()
    loaded = load_site(pack)
    assert (dict(loaded.policies), loaded.intents, loaded.faults) == ({}, (), ())


def test_the_site_survives_its_own_document_and_the_digest_follows_the_content(pack: Path) -> None:
    loaded = load_site(pack)
    again = site_from_document(loaded.site.model_dump(mode="json"))
    assert again == loaded.site
    assert site_digest(again) == loaded.digest
    spoil(pack, "rated_kw: 40", "rated_kw: 41")
    assert load_site(pack).digest != loaded.digest


# Each row: what is written instead, the field that must be named, and words of the message.
SPOILT = {
    "unknown unit": ("unit: W/m2", "unit: Wm2", "signals[15].unit", "unknown unit 'Wm2'"),
    "unit against name": (
        "hp.heat_kw, unit: kW", "hp.heat_kw, unit: MW", "signals[7].unit", "its name says kW",
    ),
    "temperature as difference": (
        "tank.temp_degc, unit: degC", "tank.temp_degc, unit: K", "signals[9].unit", "degC",
    ),
    "overlapping limits": (
        "{signal: tank.temp_degc, minimum: 30",
        "{signal: tank.temp_degc, maximum: 25}\n  - {signal: tank.temp_degc, minimum: 30",
        "limits[3]", "leave nothing",
    ),
    "limit without bounds": (
        "minimum: 10, maximum: 95, label", "label", "limits[1]", "neither minimum nor maximum",
    ),
    "reversed range": (
        "minimum: -35, maximum: 35", "minimum: 35, maximum: -35", "signals[4]", "reversed",
    ),
    "tariff gap": (
        'end: "16:00"', 'end: "15:00"', "tariff.import_periods[0]",
        "a gap in month 1 on mon at 15:00",
    ),
    "tariff overlap": (
        'start: "16:00"', 'start: "15:30"', "tariff.import_periods[1]", "an overlap",
    ),
    "unknown sink": ("sink: tank", "sink: tonk", "assets[4].sink", "'tonk' (did you mean 'tank'?)"),
    "unknown asset in topology": (
        "source: hp, target: tank", "source: hq, target: tank", "topology[3].source", "'hq'",
    ),
    "signal of an unknown asset": (
        "id: tank.temp_degc", "id: vat.temp_degc", "signals[9].id", "no asset 'vat'",
    ),
    "limit on an unknown signal": (
        "{signal: battery.soc_pct", "{signal: battery.soc", "limits[1].signal",
        "did you mean 'battery.soc_pct'",
    ),
    "asset twice": (
        "id: zone_south, kind", "id: zone_north, kind", "assets[7].id", "declared twice",
    ),
    "topology in a circle": (
        "source: tank, target: zone_south", "source: tank, target: hp", "topology", "circle",
    ),
    "unknown field": (
        "min_on_s: 900", "min_ons: 900", "assets[4].min_ons", "did you mean 'min_on_s'?",
    ),
    "unknown field at the top": (
        "currency: USD", "curency: USD", "curency", "did you mean 'currency'?",
    ),
    "missing field": ("    nominal_cop: 3.2\n", "", "assets[4].nominal_cop", "missing"),
    "unknown kind": ("kind: battery", "kind: batery", "assets[3].kind", "unknown kind 'batery'"),
    "text for a number": (
        "capacity_kwh: 80", "capacity_kwh: large", "assets[3].capacity_kwh", "number",
    ),
    "not a number": ("capacity_kwh: 80", "capacity_kwh: .nan", "assets[3].capacity_kwh", "finite"),
    "infinity": ("capacity_kwh: 80", "capacity_kwh: -.inf", "assets[3].capacity_kwh", "finite"),
    "unknown time zone": (
        "America/Los_Angeles", "America/Fresno", "time_zone", "unknown time zone",
    ),
    "no time of day": (
        'end: "21:00"', 'end: "25:00"', "tariff.import_periods[1].end", "time of day",
    ),
    "duplicate key": ("step_s: 900", "step_s: 900\nstep_s: 60", "step_s", "twice"),
    "path upwards": ("data/telemetry.csv", "../telemetry.csv", "data.telemetry", "leads out"),
    "absolute path": ("data/carbon.csv", "/etc/passwd", "data.carbon", "leads out"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_each_fault_in_site_yaml_is_named_with_file_line_and_field(pack: Path, case: str) -> None:
    old, new, field, words = SPOILT[case]
    line = spoil(pack, old, new)
    error = refusal(pack)
    assert error.file == "site.yaml"
    assert error.field == field
    assert words in str(error)
    # A duplicate stands on the line after the spoilt one, a removed field's owner before it.
    assert error.line > 0
    nearby = {"missing field": 12, "asset twice": 0, "topology in a circle": 6, "duplicate key": 1}
    assert abs(error.line - line) <= nearby.get(case, 1)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1, 2", 1, "not YAML"),
        ("a: 1\n  b: 2", 2, "not YAML"),
        ("a: &x [1]\nb: [*x, *x]", 2, "alias *x"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: " + "[" * 40 + "]" * 40, 1, "nests deeper"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "not allowed"),
        ("a: !!python/name:os.system x", 1, "tag"),
        ("a: 1\n? [x, y]\n: 2", 2, "key is not text"),
        ("a: 1\nb: 3\na: 2", 3, "first on line 1"),
        ("a: 1\nb: \x07", 2, "not YAML"),
    ],
)
def test_hostile_or_broken_yaml_is_refused_at_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SitePackError) as caught:
        parse_yaml(text, "x.yaml")
    assert (caught.value.file, caught.value.line) == ("x.yaml", line)
    assert words in str(caught.value)


def test_clock_times_dates_and_words_stay_text_in_yaml() -> None:
    text = "a: 16:00\nb: 2026-01-20\nc: no\nd: true\ne: 1e3\nf: -5\ng: ~\nh: 0.5"
    value = parse_yaml(text, "x").value
    assert value == {
        "a": "16:00", "b": "2026-01-20", "c": "no", "d": True,
        "e": 1000.0, "f": -5, "g": None, "h": 0.5,
    }  # fmt: skip
    assert math.isclose(value["e"], 1000.0)


def test_a_bomb_of_aliases_is_refused_before_it_is_expanded() -> None:
    rows = ["a0: &a0 [x, x]"] + [f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 60)]
    with pytest.raises(SitePackError, match="alias"):
        parse_yaml("\n".join(rows), "bomb.yaml")


def test_a_file_beyond_the_bound_is_refused(pack: Path) -> None:
    (pack / "site.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "more than" in refusal(pack).message


def test_a_file_that_is_not_utf8_is_refused_at_its_line(pack: Path) -> None:
    (pack / "site.yaml").write_bytes(b"id: x\nname: \xff\n")
    assert refusal(pack).line == 2


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "~/x", "", "a\0b", "C:\\x"])
def test_no_name_leads_out_of_the_pack(pack: Path, name: str) -> None:
    with pytest.raises(SitePackError, match="leads out"):
        inner_path(pack, name)


@pytest.mark.parametrize("file", ["policies/site.rego", "data/carbon.csv", "site.yaml"])
def test_a_link_out_of_the_pack_is_refused(pack: Path, tmp_path: Path, file: str) -> None:
    outside = tmp_path / "outside"
    shutil.copy(pack / file, outside)
    (pack / file).unlink()
    (pack / file).symlink_to(outside)
    assert "link that leads out" in str(refusal(pack))


def test_a_link_inside_the_pack_is_fine(pack: Path) -> None:
    (pack / "data" / "carbon.csv").rename(pack / "data" / "other.csv")
    (pack / "data" / "carbon.csv").symlink_to("other.csv")
    assert load_site(pack).carbon is not None


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "field", "words"),
    [
        ("carbon.csv", "g_per_kwh", "g", 1, "g_per_kwh", "column is missing"),
        ("carbon.csv", "205.5", "nan", 3, "g_per_kwh", "NaN"),
        ("carbon.csv", "205.5", "", 3, "g_per_kwh", "empty cell"),
        ("carbon.csv", "205.5", "inf", 3, "g_per_kwh", "infinity"),
        ("carbon.csv", "205.5", "205,5", 0, "", "not a CSV file"),
        ("carbon.csv", "205.5", "low", 3, "g_per_kwh", "'low' is not a number"),
        ("carbon.csv", "199", "-1", 4, "g_per_kwh", "too low"),
        ("carbon.csv", "02:00:00-08:00", "02:00:00", 3, "time", "has no zone"),
        ("carbon.csv", "2026-01-20T02:00:00-08:00", "today", 3, "time", "not a time"),
        ("telemetry.csv", "00:45:00", "00:30:00", 4, "time", "twice"),
        ("telemetry.csv", "00:45:00", "00:20:00", 4, "time", "backwards"),
        ("telemetry.csv", "00:45:00", "00:46:00", 4, "time", "step changes"),
        ("telemetry.csv", "hp.heat_kw", "hp.heat", 1, "hp.heat_kw", "column is missing"),
        ("telemetry.csv", "hp.heat_kw", "hp.power_kw", 1, "hp.power_kw", "twice"),
    ],
)  # fmt: skip
def test_each_fault_in_a_series_is_named_with_its_row_and_column(
    pack: Path, file: str, old: str, new: str, line: int, field: str, words: str
) -> None:
    spoil(pack, old, new, f"data/{file}")
    error = refusal(pack)
    assert (error.file, error.line, error.field) == (f"data/{file}", line, field)
    assert words in str(error)


def test_telemetry_in_another_unit_or_step_is_refused(pack: Path) -> None:
    site = load_site(pack).site
    path = pack / "data" / "telemetry.csv"
    path.write_text(path.read_text().replace(",21.2,", ",294.3,"))
    with pytest.raises(SitePackError, match="is the unit another") as caught:
        load_telemetry(pack, site)
    assert caught.value.field == "zone_north.temp_degc"
    with pytest.raises(SitePackError, match="expected the site's 300 s"):
        load_telemetry(PACK, site.model_copy(update={"step_s": 300}))


def test_faults_in_the_lists_beside_the_site_are_named(pack: Path) -> None:
    (pack / "intents.yaml").write_text("intents:\n  - name: x\n    txet: y\n")
    error = refusal(pack)
    assert (error.file, error.field) == ("intents.yaml", "intents[0].text")
    (pack / "intents.yaml").write_text("intentions: []\n")
    assert "no list 'intents'" in str(refusal(pack))


def test_a_missing_pack_or_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SitePackError, match="not a folder"):
        load_site(tmp_path / "nothing")
    with pytest.raises(SitePackError, match=r"site\.yaml: cannot be read"):
        load_site(tmp_path)


def test_the_error_survives_a_trip_to_another_process(pack: Path) -> None:
    spoil(pack, "sink: tank", "sink: tonk")
    error = refusal(pack)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.file, again.line, again.field) == (error.file, error.line, error.field)


def test_the_published_schema_and_reference_are_those_of_the_code() -> None:
    folder = Path(__file__).parent.parent / "docs" / "reference"
    published = json.loads((folder / "site.schema.json").read_text(encoding="utf-8"))
    assert published == site_json_schema()
    assert field_tables() in (folder / "site-pack.md").read_text(encoding="utf-8")


def test_the_schema_accepts_the_pack_and_refuses_an_unknown_field() -> None:
    document = read_yaml(PACK / "site.yaml").value
    validator = jsonschema.Draft202012Validator(site_json_schema())
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**document, "colour": "red"}))
