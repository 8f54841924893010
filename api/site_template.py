"""The pack that `pilothouse site new` writes: small, commented, valid but for its telemetry."""

import re
import shutil
from pathlib import Path

from graph.errors import InputError

TEMPLATE = Path(__file__).parent / "templates" / "site"
NAME = re.compile(r"[a-z][a-z0-9_-]*")


def write_template(folder: Path, site_id: str) -> list[Path]:
    """Copy the template into the new `folder`. Returns the files written.

    Raises:
        InputError: the folder exists, or the id is not one.
    """
    if not NAME.fullmatch(site_id):
        raise InputError(
            f"{site_id!r} cannot be a site's id",
            "small letters, digits, - and _; begin with a letter",
        )
    if folder.exists():
        raise InputError(f"{folder} exists", "nothing is overwritten; choose another folder")
    shutil.copytree(TEMPLATE, folder)
    (folder / "data").mkdir()
    (folder / "policies").mkdir()
    for name in ("site.yaml", "README.md"):
        file = folder / name
        file.write_text(file.read_text("utf-8").replace("SITE_ID", site_id), "utf-8")
    return sorted(p for p in folder.rglob("*") if p.is_file())
