"""Finds logits that are NaN or infinite, and the first layer that computes such values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, PreTrainedModel

from qharness.errors import ModelError
from qharness.models.inputs import ModelInputs


def rows_not_finite(logits: Tensor) -> list[int]:
    """The rows of logits [..., vocabulary], flattened, that hold NaN or +inf, or nothing but -inf."""
    peaks = logits.detach().amax(dim=-1).flatten()
    return [] if peaks.isfinite().all() else torch.nonzero(~peaks.isfinite()).flatten().tolist()


def whole_text(
    model: PreTrainedModel, prompt: Sequence[int], completion: Sequence[int], decoder_start_token_id: int
) -> ModelInputs:
    """The inputs that compute a prompt and its completion so far in one forward pass."""

    def row(ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=model.device)

    if model.config.is_encoder_decoder:
        return {"input_ids": row(prompt), "decoder_input_ids": row([decoder_start_token_id, *completion])}
    return {"input_ids": row([*prompt, *completion])}


def nonfinite_error(model: PreTrainedModel, inputs: ModelInputs) -> ModelError:
    """The error of a model whose logits are not finite, which is run once more to name the first such layer."""
    start = f"{type(model).__name__} gives logits that are not finite"
    layer = first_nonfinite_layer(model, inputs)
    if layer is None:
        return ModelError(f"{start}, though no layer does so on the whole text: try another --dtype or --batch-size")
    weights = [name for name, tensor in _weights(model.get_submodule(layer)) if not bool(tensor.isfinite().all())]
    cause = f"its {weights[0]} is not finite either: the checkpoint or its quantization is damaged" if weights else ""
    cause = cause or f"the range of {str(model.dtype).removeprefix('torch.')} may be too small: try another --dtype"
    return ModelError(f"{start}, first of all those of the layer {layer or type(model).__name__}; {cause}")


@torch.no_grad()
def first_nonfinite_layer(model: PreTrainedModel, inputs: ModelInputs) -> str | None:
    """The name of the first module of a forward pass whose output is not finite; None if all are."""
    found: list[str] = []

    def look(name: str, output: object) -> None:
        if not found and any(not bool(t.isfinite().all()) for t in tensors_in(output) if t.is_floating_point()):
            found.append(name)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hook = module.register_forward_hook(lambda _module, _args, output, name=name: look(name, output))
            hooks.enter_context(hook)
        model(**{**inputs, "use_cache": False})
    return found[0] if found else None


class FiniteScores(LogitsProcessor):
    """Raises ModelError for scores of transformers' beam search that are not finite.

    `sources`: the prompts int64 [rows, length] with their mask, a row for each `beams` rows of the search.
    """

    def __init__(self, model: PreTrainedModel, sources: Tensor, mask: Tensor, beams: int) -> None:
        self._model, self._sources, self._mask, self._beams = model, sources, mask, beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores [rows * beams, vocabulary] unchanged."""
        if rows := rows_not_finite(scores):
            number, ids = rows[0] // self._beams, input_ids[rows[0]].tolist()
            real = self._mask[number].bool()
            if not self._model.config.is_encoder_decoder:
                prompt, made = self._sources[number][real].tolist(), ids[self._sources.shape[1] :]
                raise nonfinite_error(self._model, whole_text(self._model, prompt, made, 0)) from None
            source = self._sources[number][real].tolist()
            raise nonfinite_error(self._model, whole_text(self._model, source, ids[1:], ids[0]))
        return scores


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point():
            yield name, tensor


def tensors_in(value: object) -> Iterator[Tensor]:
    """Yield the tensors in mappings, lists and tuples of any depth."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(each)
