"""Languages that compile solution and tests to one executable file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_HERE = Path(__file__).parent


def native_modules(build: Sequence[Path], settings: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the modules of a checked harness for such a language.

    `build`: the files of modules, each after those that it imports. The last has
    `build(source, tests, token, cpu_seconds)`, which returns the executable or raises CompileError, and
    `in_process(source, tests)`, which says whether the program could forge a pass. They find `settings` as the constant
    SETTINGS of the module `native_settings`.
    """
    *helpers, last = build
    texts = {
        "native_settings": f"SETTINGS = {dict(settings)!r}",
        "native_error": (_HERE / "native_error.py").read_text(encoding="utf-8"),
        **{path.stem: path.read_text(encoding="utf-8") for path in helpers},
        "native_build": last.read_text(encoding="utf-8"),
        **{name: (_HERE / f"{name}.py").read_text(encoding="utf-8") for name in ("native_check", "native_program")},
    }
    return tuple((f"{__package__}.{name}", text) for name, text in texts.items())
