"""Exact products of integer matrices by four kernels, so that a row's result never depends on the kernel.

Activations come as float32 that hold integers of the grid. Every kernel gives float32(sum of q w) * weight scale, the
sum exact in 32 bits and each of the two steps rounded once: the kernels agree to the last bit.

* `packed`: FBGEMM's kernel on weights that it packed. The fastest at few rows; the packed weight is the only copy.
* `packed, in halves`: the same, each row of activations as two rows of seven bits, for CPUs without VNNI.
* `plain`: `torch._int_mm`, by CUDA's integer units or a CPU's matrix tiles (AMX), the faster at many rows.
* `simulated`: float32 products of so few columns at a time that float32 holds their sums exactly. Runs anywhere.

A kernel is used only after it has got a small product right on this machine: without VNNI instructions, for one,
FBGEMM adds pairs of products in 16 bits, which saturate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

_COLUMNS = 1024  # 127 * 127 * 1024 < 2**24: float32 holds every integer up to there
_PIECE = 64  # rows that are scaled at a time, to stay in the cache
_CUDA_LEAST, _CUDA_MULTIPLE = 24, 8  # CUDA's kernel takes more than 16 rows, in multiples of 8


class PackedWeight(nn.Module):
    """FBGEMM's form of a weight int8 [out, in] and its scale float32 [out] or [1]; it refers to neither tensor.

    FBGEMM's activations are 0 .. 255: with a zero point of 128 they are -128 .. 127. It is a module, for a trace can
    only record what a module holds.
    """

    kernel = "packed"

    def __init__(self, weight: Tensor, scale: Tensor, zero_point: int = 128) -> None:
        super().__init__()
        self._zero_point = zero_point
        with warnings.catch_warnings(), _engine("fbgemm"):
            warnings.simplefilter("ignore")  # PyTorch is to lose its quantized tensors; this kernel has no other door
            if len(scale) > 1:
                zeros = torch.zeros(len(scale), dtype=torch.int64)
                quantized = torch._make_per_channel_quantized_tensor(weight, scale.double(), zeros, 0)
            else:
                quantized = torch._make_per_tensor_quantized_tensor(weight, scale.item(), 0)
            self._packed = torch.ops.quantized.linear_prepack(quantized, None)

    def product(self, q: Tensor) -> Tensor:
        """Multiply q float32 [rows, in], integers of -127 .. 127, with the weight and scale: float32 [rows, out]."""
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        y: Tensor = product(q, 1.0, self._zero_point, self._packed)
        return y

    def unpacked(self) -> Tensor:
        """Return the int8 weight [out, in]."""
        with _engine("fbgemm"):
            weight: Tensor = torch.ops.quantized.linear_unpack(self._packed)[0].int_repr()
        return weight


class WeightOfHalves(nn.Module):
    """The same for CPUs without VNNI, on which FBGEMM adds pairs of products in 16 bits.

    A pair of 255 * 127 saturates, one of 127 * 127 does not. So q is 2 h + l, h of -64 .. 63 and l of 0 .. 1, and both
    are rows of one product, which reads the weight once. The sums of 2048 columns are exact in float32, and those of
    more are added as integers.
    """

    kernel = "packed, in halves"
    _COLUMNS = 2048  # 64 * 127 * 2048 < 2**24
    _pieces: Sequence[PackedWeight]

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        pieces = [piece.contiguous() for piece in weight.split(self._COLUMNS, dim=1)]
        packed = (PackedWeight(piece, torch.ones(1), zero_point=64) for piece in pieces)
        self._pieces = nn.ModuleList(packed)  # type: ignore[assignment]  # a sequence of them
        self._scale = scale.clone()

    def product(self, q: Tensor) -> Tensor:
        """Multiply as `PackedWeight.product` does."""
        high = (q * 0.5).floor()
        rows = torch.cat([high, torch.sub(q, high, alpha=2)])
        columns = rows.split(self._COLUMNS, dim=1)
        sums = [packed.product(part).chunk(2) for part, packed in zip(columns, self._pieces, strict=True)]
        if len(sums) == 1:
            y = torch.add(sums[0][1], sums[0][0], alpha=2)
        else:
            y = torch.stack([torch.add(low.int(), high.int(), alpha=2) for high, low in sums]).sum(0).float()
        return y.mul_(self._scale)

    def unpacked(self) -> Tensor:
        """Return the int8 weight [out, in]."""
        return torch.cat([piece.unpacked() for piece in self._pieces], dim=1)


def plain_product(q: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Multiply q with weight int8 [out, in] and scale float32 [out] or [1], by an exact kernel of its device."""
    sums = integer_product(q, weight) if exact(q.device.type) else simulated_product(q, weight)
    if torch._C._is_tracing():  # pieces would be as many in the trace as here
        return sums.float().mul_(scale)
    y = torch.empty(sums.shape, device=q.device)
    for part, whole in zip(y.split(_PIECE), sums.split(_PIECE), strict=True):
        part.copy_(whole).mul_(scale)
    return y


def integer_product(q: Tensor, weight: Tensor) -> Tensor:
    """Multiply q [rows, in] with weight int8 [out, in] by the device's integer kernel: int32 [rows, out]."""
    left = q.to(torch.int8)
    if q.device.type != "cuda":
        return torch._int_mm(left, weight.t())
    rows = len(left)
    padded = max(-(-rows // _CUDA_MULTIPLE) * _CUDA_MULTIPLE, _CUDA_LEAST)
    return torch._int_mm(functional.pad(left, (0, 0, 0, padded - rows)), weight.t())[:rows]


def simulated_product(q: Tensor, weight: Tensor) -> Tensor:
    """Compute the same in float32 for 1024 columns at a time, and add their sums as integers."""
    q = q.float()
    sums = torch.zeros(q.shape[0], weight.shape[0], dtype=torch.int32, device=q.device)
    for left, right in zip(q.split(_COLUMNS, dim=1), weight.split(_COLUMNS, dim=1), strict=True):
        sums += (left @ right.float().t()).to(torch.int32)
    return sums


@cache
def packed_form() -> type[PackedWeight | WeightOfHalves] | None:
    """Return the faster of FBGEMM's forms that is exact here, or None where there is none."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None

    def agrees(form: type[PackedWeight | WeightOfHalves]) -> bool:
        return _agrees(lambda q, weight: form(weight, torch.ones(1)).product(q), "cpu")

    return next(filter(agrees, (PackedWeight, WeightOfHalves)), None)


@cache
def exact(device: str) -> bool:
    """Tell whether a device has an integer kernel that is exact.

    A CPU without VNNI has none: `torch._int_mm` is a loop there, twenty times slower than float32's product.
    """
    if device == "cpu" and not torch.cpu._is_vnni_supported():
        return False
    return _agrees(lambda q, weight: integer_product(q, weight).float(), device)


@cache
def has_tiles() -> bool:
    """Tell whether the CPU multiplies integer matrices in tiles (AMX): `plain` is then the fastest at many rows."""
    return bool(torch.cpu._is_amx_tile_supported()) and exact("cpu")


def _agrees(product: Callable[[Tensor, Tensor], Tensor], device: str) -> bool:
    """Tell whether products of the greatest values and of mixed ones come out right, for few rows and for many."""
    columns = torch.arange(512, device=device)
    signs = torch.where(columns % 3 == 0, -1, 1)
    weight = torch.stack([columns * 0 + 127, signs * 127, columns % 255 - 127] * 8).to(torch.int8)
    for rows in (1, 40):
        q = torch.stack([columns * 0 + 127 - row % 2 * 254 for row in range(rows)]).float()
        try:
            if not torch.equal(product(q, weight), simulated_product(q, weight).float()):
                return False
        except (RuntimeError, NotImplementedError):  # no such kernel on this machine
            return False
    return True


@contextmanager
def _engine(name: str) -> Iterator[None]:
    """Select one of PyTorch's quantized engines for the time of the context."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before
