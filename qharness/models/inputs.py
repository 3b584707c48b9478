"""The inputs of a model that reads a text, the same for calibration, training and measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from qharness.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ModelInputs(TypedDict, total=False):
    """Keyword arguments of one forward pass: token ids int64 [n, length]. Encoder-decoders read `decoder_input_ids`."""

    input_ids: Tensor
    decoder_input_ids: Tensor
    use_cache: bool


def model_inputs(model: PreTrainedModel, ids: Tensor) -> ModelInputs:
    """The forward pass in which a model reads texts int64 [n, length], on the model's device.

    A causal model gets the tokens as they are. An encoder-decoder model gets each text as a prompt with its completion:
    the encoder reads the first half (the longer one, of an odd number), and the decoder, by teacher forcing, its start
    token and the second half without the last token, so that position i predicts token i of the half. Of a text of one
    token, the decoder reads its start token alone.

    Calibration, training and measuring all take their inputs from here, so that they see the same activations.

    Raises ModelError for texts without tokens, and for a decoder that begins with no known token.
    """
    import torch

    if not ids.numel():
        raise ModelError("a text without tokens cannot be run through a model")
    ids = ids.to(model.device)
    if not model.config.is_encoder_decoder:
        return {"input_ids": ids, "use_cache": False}
    start = decoder_start_token_id(model)
    if start is None:
        raise ModelError(f"{type(model).__name__}: its configuration has no decoder_start_token_id")
    source, target = ids.tensor_split([(ids.shape[1] + 1) // 2], dim=1)
    read = torch.cat([ids.new_full((len(ids), 1), start), target[:, :-1]], dim=1)
    return {"input_ids": source.contiguous(), "decoder_input_ids": read, "use_cache": False}


def decoder_start_token_id(model: PreTrainedModel) -> int | None:
    """The token that a decoder begins with, as transformers' `generate` finds it; None if no setting names one."""
    for config, name in (
        (model.generation_config, "decoder_start_token_id"),
        (model.config, "decoder_start_token_id"),
        (model.generation_config, "bos_token_id"),
    ):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    return None
