"""Tiny models of many architectures, made from their configurations: a row each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from qharness import Calibration
from tests.tiny_models import tokenizer

_VOCABULARY = 260
_LLAMA = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
_HEAD = {**_LLAMA, "head_dim": 8}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_MLA = {
    **_LLAMA, "num_key_value_heads": 4, "moe_intermediate_size": 32, "n_routed_experts": 4, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "first_k_dense_replace": 1, "kv_lora_rank": 16, "q_lora_rank": 16,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "n_group": 1, "topk_group": 1,
}  # fmt: skip
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_MAMBA = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "time_step_rank": 8}
_MAMBA2 = {
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_expand": 2,
}  # fmt: skip
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "decoder_start_token_id": 2,
    "max_position_embeddings": 128,
}  # fmt: skip

ARCHITECTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Llama": ("llama", _LLAMA),
    "Mistral": ("mistral", {**_LLAMA, "sliding_window": 16}),
    "Qwen2": ("qwen2", _LLAMA),
    "Qwen3": ("qwen3", _HEAD),
    "Gemma 2": ("gemma2", _HEAD),
    "Gemma 3": ("gemma3_text", _HEAD),
    "Phi-3": ("phi3", {**_LLAMA, "pad_token_id": 0}),
    "StarCoder2": ("starcoder2", _LLAMA),
    "GPT-BigCode": ("gpt_bigcode", _GPT),
    "CodeGen": ("codegen", {**_GPT, "n_ctx": 128, "rotary_dim": 4}),
    "GPT-2": ("gpt2", _GPT),
    "GPT-NeoX": ("gpt_neox", _LLAMA),
    "BLOOM": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "OPT": ("opt", {**_LLAMA, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "Falcon": ("falcon", _LLAMA),
    "MPT": ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 128}),
    "Mixtral": ("mixtral", {**_LLAMA, "num_local_experts": 4}),
    "Qwen2-MoE": ("qwen2_moe", {**_LLAMA, **_EXPERTS, "shared_expert_intermediate_size": 32}),
    "Qwen3-MoE": ("qwen3_moe", {**_HEAD, **_EXPERTS}),
    "OLMoE": ("olmoe", {**_LLAMA, **_EXPERTS}),
    "DeepSeek-V2": ("deepseek_v2", _MLA),
    "DeepSeek-V3": ("deepseek_v3", _MLA),
    "gpt-oss": ("gpt_oss", {**_HEAD, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "Phi-MoE": ("phimoe", {**_LLAMA, "num_local_experts": 4}),
    "Granite-MoE": ("granitemoe", {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "Nemotron-H": (
        "nemotron_h",
        {
            **_HEAD,
            "layers_block_type": ["mamba", "moe", "attention", "moe"],
            "num_hidden_layers": 4,
            "n_routed_experts": 4,
            "moe_intermediate_size": 32,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "ssm_state_size": 8,
            "n_groups": 1,
            "moe_shared_expert_intermediate_size": 32,
            "chunk_size": 16,
        },
    ),
    "JetMoE": ("jetmoe", {**_LLAMA, "kv_channels": 8, "num_local_experts": 4}),
    "Llama 4": (
        "llama4_text",
        {**_HEAD, "intermediate_size_mlp": 64, "num_local_experts": 4, "attention_chunk_size": 64},
    ),
    "DBRX": (
        "dbrx",
        {
            "d_model": 32,
            "n_heads": 4,
            "n_layers": 2,
            "max_seq_len": 128,
            "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
            "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2, "ffn_act_fn": {"name": "silu"}},
        },
    ),
    "Mamba": ("mamba", _MAMBA),
    "Mamba 2": ("mamba2", {**_MAMBA, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 16}),
    "Falcon-Mamba": ("falcon_mamba", _MAMBA),
    "Jamba": (
        "jamba",
        {
            **_LLAMA,
            "num_hidden_layers": 4,
            "attn_layer_period": 4,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "num_experts": 4,
            "use_mamba_kernels": False,
            "mamba_d_state": 8,
            "mamba_dt_rank": 8,
        },
    ),
    "Falcon-H1": ("falcon_h1", {**_HEAD, **_MAMBA2, "mamba_d_ssm": 64}),
    "Granite 4 hybrid": (
        "granitemoehybrid",
        {
            **_LLAMA,
            **_MAMBA2,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 32,
            "layer_types": ["mamba", "attention"],
            "position_embedding_type": "rope",
        },
    ),
    "Qwen3-Next": (
        "qwen3_next",
        {
            **_HEAD,
            **_EXPERTS,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "RecurrentGemma": (
        "recurrent_gemma",
        {**_HEAD, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 32},
    ),
    "RWKV": ("rwkv", {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32, "context_length": 128}),
    "T5": ("t5", _T5),
    "mT5": ("mt5", _T5),
    "Switch": (
        "switch_transformers",
        {**_T5, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    ),
    "PLBart": ("plbart", _BART),
}
"""By the name that docs have: transformers' `model_type`, and a configuration of few and narrow layers."""

SPLIT = ("Mixtral", "Qwen2-MoE", "Qwen3-MoE", "OLMoE", "DeepSeek-V2", "DeepSeek-V3", "gpt-oss", "Phi-MoE", "Granite-MoE",
         "Nemotron-H", "Jamba", "Granite 4 hybrid", "Qwen3-Next")  # fmt: skip
"""Those whose experts transformers fuses by its convention."""


def make(name: str, seed: int = 0) -> transformers.PreTrainedModel:
    """A random model in float32, in evaluation mode; no weight of it is exactly zero or one."""
    kind, settings = ARCHITECTURES[name]
    specials = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.AutoConfig.for_model(kind, vocab_size=_VOCABULARY, **{**specials, **settings})
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    model = auto.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def saved(name: str, folder: Path) -> Path:
    """Write a model and a tokenizer where `from_pretrained` finds them, without a progress bar."""
    transformers.utils.logging.disable_progress_bar()
    make(name).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def logits(model: transformers.PreTrainedModel) -> torch.Tensor:
    """What a model says to a text of 24 tokens."""
    text: dict[str, Any] = {"input_ids": (torch.arange(24) * 37 % 250 + 4)[None]}
    if model.config.is_encoder_decoder:
        text["decoder_input_ids"] = torch.arange(4, 12)[None]
    with torch.no_grad():
        found: torch.Tensor = model(**text, use_cache=False).logits.float()
    return found


def calibration(n: int, length: int) -> Calibration:
    """Random tokens."""
    generator = torch.Generator().manual_seed(0)
    return Calibration([torch.randint(4, 250, (length,), generator=generator) for _ in range(n)], {"random": n})
