"""Makes a component from a few lines of WAT, with nothing installed but this package.

For first experiments and for hostile tests; real plugins are written in a real language.
"""

import argparse
from pathlib import Path

from graph.errors import InputError

_SHELL = Path(__file__).parent / "sdk" / "wat" / "shell.wat"


def assemble(name: str, version: str, body: str) -> bytes:
    """The binary component of an adviser whose function `$advise (param $steps i32)` is in `body`.

    `body` may use what `sdk/wat/shell.wat` declares: memory, `$realloc`, `$column` and the host's
    functions.

    Raises:
        InputError: the text is not WAT that makes a component; says where.
    """
    import wasmtime

    if len(name) > 40 or len(version) > 16:
        raise InputError("a plugin's name has up to 40 characters and its version up to 16")
    text = _SHELL.read_text(encoding="utf-8").split("\n(component", 1)[1]
    for mark, value in (
        ("@NAME_LENGTH", f"\\{len(name):02x}"),
        ("@VERSION_LENGTH", f"\\{len(version):02x}"),
        ("@NAME", name),
        ("@VERSION", version),
        ("@BODY", body),
    ):
        text = text.replace(mark, value)
    try:
        return bytes(wasmtime.wat2wasm("(component" + text))
    except wasmtime.WasmtimeError as error:
        raise InputError(f"not a component: {error}") from error


def main() -> None:
    """`python -m plugins.wasmtime_wat NAME VERSION BODY.wat -o OUT.wasm`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("version")
    parser.add_argument("body", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    body = args.body.read_text(encoding="utf-8")
    args.out.write_bytes(assemble(args.name, args.version, body))


if __name__ == "__main__":
    main()
