"""Languages that compile solution and tests to one executable file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent


def native_modules(build: Path, settings: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the modules of a checked harness for such a language.

    `build`: the file of a module with `CompileError` and `build(source, tests, token, cpu_seconds)`, which returns the
    executable. It finds `settings` as the constant SETTINGS of the module `native_settings`.
    """
    texts = {
        "native_settings": f"SETTINGS = {dict(settings)!r}",
        "native_build": build.read_text(encoding="utf-8"),
        **{name: (_HERE / f"{name}.py").read_text(encoding="utf-8") for name in ("native_check", "native_program")},
    }
    return tuple((f"{__package__}.{name}", text) for name, text in texts.items())
