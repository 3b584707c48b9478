"""What a model is given when it reads a text: one way for calibration, training and measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from qharness.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ModelInputs(TypedDict, total=False):
    """Keyword arguments of one forward pass: token ids int64 [n, length]. `decoder_input_ids`: encoder-decoder only."""

    input_ids: Tensor
    decoder_input_ids: Tensor
    use_cache: bool


def model_inputs(model: PreTrainedModel, ids: Tensor) -> ModelInputs:
    """The forward pass in which a model reads texts int64 [n, length], on the model's device.

    A causal model gets the tokens as they are. An encoder-decoder model gets each text as it would get a prompt with
    its completion: the encoder reads the first half (the longer one, of an odd number), and the decoder is taught the
    second by teacher forcing: it reads the token that begins a completion, then the half without its last token, so
    that position i predicts token i of the half. The last token is predicted and never read, as when the model
    generates. Of a text of one token, the decoder reads the first token alone.

    Whoever runs texts through a model takes this: quantizers then calibrate on the same activations that are trained
    and measured on. Raises ModelError for texts without tokens, and for a decoder that begins with no known token.
    """
    import torch

    if not ids.numel():
        raise ModelError("a text without tokens cannot be run through a model")
    ids = ids.to(model.device)
    if not model.config.is_encoder_decoder:
        return {"input_ids": ids, "use_cache": False}
    start = decoder_start(model)
    if start is None:
        raise ModelError(f"{type(model).__name__}: its configuration has no decoder_start_token_id")
    source, target = ids.tensor_split([(ids.shape[1] + 1) // 2], dim=1)
    read = torch.cat([ids.new_full((len(ids), 1), start), target[:, :-1]], dim=1)
    return {"input_ids": source.contiguous(), "decoder_input_ids": read, "use_cache": False}


def decoder_start(model: PreTrainedModel) -> int | None:
    """The token that a decoder begins with, as transformers' `generate` finds it; None if nothing names one."""
    for config, name in (
        (model.generation_config, "decoder_start_token_id"),
        (model.config, "decoder_start_token_id"),
        (model.generation_config, "bos_token_id"),
    ):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    return None
