"""Models whose Linears hold random codes, and their dequantized twins."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from torch import nn

from qharness import block_linears, replace_module
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight


def random_weight(
    rows: int,
    columns: int,
    books: int,
    bits: int,
    group: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> QuantizedWeight:
    """A weight of about the size that a new model's has."""
    codebooks = 0.05 * torch.randn(books, 1 << bits, 1, group, generator=generator)
    indices = torch.randint(0, 1 << bits, (rows, columns // group, books), generator=generator)
    scales = 0.5 + torch.rand(rows, 1, 1, 1, generator=generator)
    return QuantizedWeight.from_indices(codebooks.to(dtype), indices, scales.to(dtype))


def with_random_codes(model: nn.Module, books: int, bits: int, group: int, seed: int = 0) -> nn.Module:
    """Put random codes in place of every Linear of the blocks."""
    generator = torch.Generator().manual_seed(seed)
    for name, linear in block_linears(model).items():
        weight = random_weight(*linear.weight.shape, books, bits, group, generator, linear.weight.dtype)
        replace_module(model, name, AqlmLinear(weight, linear.bias))
    return model


def densely(model: nn.Module) -> nn.Module:
    """The same model with plain Linears that hold the dequantized weights."""
    for name, module in list(model.named_modules()):
        if isinstance(module, AqlmLinear):
            linear = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
            linear.weight = nn.Parameter(module.quantized.dequantize().detach(), requires_grad=False)
            linear.bias = module.bias
            replace_module(model, name, linear)
    return model


def tiny(architecture: str, dtype: torch.dtype, folder: Path) -> transformers.PreTrainedModel:
    """A small random model as it loads in a dtype, which leaves some of it in float32; kept in `folder`."""
    from tests import tiny_models

    config = {**tiny_models.CONFIGS, **MORE}[architecture]()
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    kind.from_config(config).save_pretrained(folder)
    return kind.from_pretrained(folder, dtype=dtype).eval()


def logits(model: nn.Module) -> torch.Tensor:
    """What a model says to some text, in float32."""
    text = {"input_ids": torch.arange(4, 40)[None]}
    if model.config.is_encoder_decoder:
        text["decoder_input_ids"] = torch.arange(4, 12)[None]
    with torch.no_grad():
        return model(**text).logits.float()


def _qwen2() -> transformers.PretrainedConfig:
    return transformers.Qwen2Config(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip


def _gpt_bigcode() -> transformers.PretrainedConfig:
    return transformers.GPTBigCodeConfig(vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=128)


def _llama_with_biases() -> transformers.PretrainedConfig:
    return transformers.LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, attention_bias=True,
    )  # fmt: skip


_SHAPE = {
    "vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip


def _gemma3() -> transformers.PretrainedConfig:
    return transformers.Gemma3TextConfig(**_SHAPE, num_key_value_heads=2, head_dim=8)


def _starcoder2() -> transformers.PretrainedConfig:
    return transformers.Starcoder2Config(**_SHAPE, num_key_value_heads=2)


def _gpt_neox() -> transformers.PretrainedConfig:
    return transformers.GPTNeoXConfig(**_SHAPE)


def _opt() -> transformers.PretrainedConfig:
    return transformers.OPTConfig(
        vocab_size=260, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, word_embed_proj_dim=32,
    )  # fmt: skip


MORE = {
    "qwen2": _qwen2,
    "gpt_bigcode": _gpt_bigcode,
    "llama_with_biases": _llama_with_biases,
    "gemma3": _gemma3,
    "starcoder2": _starcoder2,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
}
