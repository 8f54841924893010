"""The reference of `site.yaml` as Markdown, from the schema, so that it cannot fall behind it.

`python -m graph.schema_tables docs/reference` writes the schema and the tables into the page.
"""

import json
import sys
from pathlib import Path
from typing import Any

from graph.site_schema import site_json_schema

BEGIN = "<!-- fields: written by `python -m graph.schema_tables docs/reference` -->"
END = "<!-- end of fields -->"


def field_tables() -> str:
    """One table a record: field, type, default, meaning."""
    schema = site_json_schema()
    parts = [_table("site.yaml", schema)]
    parts += [_table(name, part) for name, part in schema["$defs"].items() if "properties" in part]
    return "\n\n".join(parts)


def _table(title: str, part: dict[str, Any]) -> str:
    purpose = part.get("description", "").split("\n")[0]
    lines = [f"### {title}", "", *([purpose, ""] if purpose else []),
             "| field | type | default | meaning |", "|---|---|---|---|"]  # fmt: skip
    required = part.get("required", [])
    for name, field in part["properties"].items():
        default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
        meaning = field.get("description", "").replace("|", "\\|")
        if isinstance(field.get("default"), dict):
            default = "its own defaults"
        lines.append(f"| `{name}` | {_kind(field)} | {default} | {meaning} |")
    return "\n".join(lines)


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{v}`" for v in field["enum"])
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(_kind(f) for f in field.get("anyOf", field.get("oneOf", [])))
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}"
    bounds = {"exclusiveMinimum": "> {}", "minimum": ">= {}", "maximum": "<= {}"}
    said = [text.format(field[key]) for key, text in bounds.items() if key in field]
    return " ".join([str(field.get("type", "value")), *said])


def write(folder: Path) -> None:
    """Write `site.schema.json` and the tables of `site-pack.md` in `folder`."""
    text = json.dumps(site_json_schema(), indent=2, ensure_ascii=False) + "\n"
    (folder / "site.schema.json").write_text(text, encoding="utf-8")
    page = folder / "site-pack.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{field_tables()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
