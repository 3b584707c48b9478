"""Tiny random models as GGUF files, which transformers and llama.cpp load, beside the same weights as plain models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from tokenizers.pre_tokenizers import ByteLevel

CONTEXT, WIDTH, INNER, HEADS, KV_HEADS, BLOCKS = 256, 64, 96, 4, 2, 2
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ Ġ", "ĠĠ ĠĠ", "r e", "t u", "re tu", "r n", "retu rn", "d e", "de f", "Ġ a", "Ġ +")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MIXED = {"attn": Type.Q8_0, "ffn": Type.Q4_0, "output": Type.Q8_0}
"""The type of a matrix by the begin of its name; embeddings, norms and biases are F32."""
PLAIN: dict[str, Type] = {}
VOCABULARY = [*SPECIALS, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]

_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
_COMMON = {
    "vocab_size": len(VOCABULARY), "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.2,
}  # fmt: skip


def save_llama(
    file: Path, types: Mapping[str, Type] = MIXED, seed: int = 0, *, pre: str = "smollm"
) -> transformers.PreTrainedModel:
    """Write a Llama with tied embeddings, whose q and k rows llama.cpp keeps in another order; return it as it is run.

    The weights of the returned model are those that the file's codes stand for. `pre`: how text is cut before merging.
    """
    config = transformers.LlamaConfig(
        **_COMMON, head_dim=WIDTH // HEADS, tie_word_embeddings=True, rope_parameters=_rope(10000.0)
    )
    return _save(file, "llama", config, types, seed, pre)


def save_qwen2(file: Path, types: Mapping[str, Type] = MIXED, seed: int = 0) -> transformers.PreTrainedModel:
    """Write a Qwen2 with biases and a head of its own; return it as it is run."""
    config = transformers.Qwen2Config(**_COMMON, tie_word_embeddings=False, rope_parameters=_rope(20000.0))
    return _save(file, "qwen2", config, types, seed, "qwen2")


def rounded(weight: np.ndarray, kind: Type) -> np.ndarray:
    """The float32 weights that a matrix's codes stand for, by the gguf package."""
    return gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)


def _save(
    file: Path,
    architecture: str,
    config: transformers.PretrainedConfig,
    types: Mapping[str, Type],
    seed: int,
    pre: str,
) -> transformers.PreTrainedModel:
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.2)
    writer = gguf.GGUFWriter(file, architecture)
    _write_settings(writer, config)
    _write_tokenizer(writer, pre)
    for name, parameter in model.named_parameters():
        _write_tensor(writer, name, parameter, types, architecture == "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _write_tensor(
    writer: gguf.GGUFWriter, name: str, parameter: torch.nn.Parameter, types: Mapping[str, Type], permuted: bool
) -> None:
    """Write one parameter, and put into it the values that its codes stand for."""
    theirs = _name(name)
    value = parameter.detach().numpy()
    short = theirs.rpartition("blk.")[2].partition(".")[2] if theirs.startswith("blk.") else theirs
    kind = next((each for begin, each in types.items() if short.startswith(begin)), Type.F32)
    kind = kind if value.ndim == 2 else Type.F32
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2]) if permuted else None
    stored = value if heads is None else _permuted(value, heads)
    codes = np.ascontiguousarray(gguf.quants.quantize(stored, kind))
    writer.add_tensor(theirs, codes, raw_dtype=kind)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(rounded(value, kind)))


def _permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """The rows of each head with the halves that rotate together side by side, as llama.cpp keeps a Llama's."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _name(name: str) -> str:
    parts = name.split(".")
    block = f"blk.{parts[2]}." if parts[1:2] == ["layers"] else ""
    return f"{block}{_NAMES[parts[-2]]}.{parts[-1]}"


def _rope(theta: float) -> dict[str, object]:
    return {"rope_theta": theta, "rope_type": "default"}


def _write_settings(writer: gguf.GGUFWriter, config: transformers.PretrainedConfig) -> None:
    writer.add_name("Tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_tokenizer(writer: gguf.GGUFWriter, pre: str) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([control if token in SPECIALS else normal for token in VOCABULARY])
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
