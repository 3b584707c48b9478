"""Int8 quantization of Wei et al. 2023, as they ran it and with scales that leave rows independent."""

from __future__ import annotations

from qharness import Quantizer, hookimpl
from qharness.plugins.int8.dynamic import Int8Dynamic
from qharness.plugins.int8.static import Int8Static


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `int8-dynamic` and `int8-static`."""
    return [Int8Dynamic, Int8Static]
