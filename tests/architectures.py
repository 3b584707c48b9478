"""Causal and encoder-decoder architectures of transformers, made tiny: generic sizes, and a row for what one wants more."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel

WINDOW = 8
CONTEXT = 128
VOCABULARY = 260
_SPREAD = 0.3  # of random weights: a new model's are so small that it hardly prefers one token to another
_SIZES: Mapping[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "emb_dim"), 32),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "dff"), 48
    ),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), CONTEXT),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 24),
    **dict.fromkeys(("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "d_kv"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "attention_window_size"), WINDOW),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts", "num_mtp_layers"), 1),
    **{"vocab_size": VOCABULARY, "num_key_value_heads": 2, "rotary_dim": 4, "num_experts_per_tok": 2},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2},
}
"""Fields of configurations, by any name that one has for them."""

_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
_GATED_DELTA = {
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4},
    "layer_types": ["linear_attention", "full_attention"],
}
_GEMMA_N = {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "global_head_dim": 8}
_MLA = {"num_key_value_heads": 4}
_DECODER = {"is_decoder": True}
_LINEAR_FIRST = {"layer_types": ["linear_attention", "full_attention"]}
_WINDOW_FIRST = {"layer_types": ["sliding_attention", "full_attention"]}
_ROWS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite"), _MLA),
    **dict.fromkeys(("glm_moe_dsa", "minicpm3", "youtu"), _MLA),
    **dict.fromkeys(
        ("bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie"), _DECODER
    ),
    **dict.fromkeys(("megatron-bert", "rembert", "roberta", "roberta-prelayernorm", "roformer"), _DECODER),
    **dict.fromkeys(("xlm-roberta", "xlm-roberta-xl"), _DECODER),
    "bailing_hybrid": {**_MLA, **_LINEAR_FIRST},
    "bamba": {**_MAMBA2, "attn_layer_indices": [1]},
    "cohere2": _WINDOW_FIRST,
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon": {"alibi": True},
    "ernie4_5_moe": {"moe_k": 2},
    "falcon_h1": {**_MAMBA2, "mamba_d_ssm": 64},
    "gemma2": _WINDOW_FIRST,
    "gemma3_text": _WINDOW_FIRST,
    "gemma3n_text": {
        **_GEMMA_N,
        **{"num_hidden_layers": 4, "num_kv_shared_layers": 2, "laurel_rank": 8},
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma4_text": {**_GEMMA_N, **_WINDOW_FIRST},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "gpt_oss": _WINDOW_FIRST,
    "granitemoehybrid": {**_MAMBA2, **_LINEAR_FIRST},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "kimi_linear": {**_MLA, **_LINEAR_FIRST, "linear_head_dim": 8, "linear_num_heads": 4},
    "lfm3": {"layer_types": ["conv", "sliding_attention"]},
    "longcat_flash": {
        "num_key_value_heads": 4,
        "ffn_hidden_size": 48,
        "expert_ffn_hidden_size": 24,
        "zero_expert_num": 2,
        "moe_topk": 2,
    },
    "mamba": {"state_size": 8},
    "falcon_mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "block_size": 8},
    "mistral": {"sliding_window": WINDOW},
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        **{"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8},
        **{"moe_shared_expert_intermediate_size": 24},
    },
    "olmo_hybrid": _GATED_DELTA,
    "qwen3_5_text": _GATED_DELTA,
    "qwen3_5_moe_text": _GATED_DELTA,
    "qwen3_next": _GATED_DELTA,
    "qwen4_exp_text": {
        **{**_GATED_DELTA, "ngram_vocab_size_base": 64, "split_ngram_parts": 4, "hc_lowrank": 8},
        **{
            "indexer_n_heads": 2,
            "indexer_kv_heads": 1,
            "indexer_head_dim": 8,
            "indexer_budget": 16,
            "indexer_compress_ratio": 4,
        },
    },
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 32},
    "roc_bert": {
        **{"pronunciation_embed_dim": 8, "pronunciation_vocab_size": 64, "shape_embed_dim": 8, "shape_vocab_size": 64},
        "is_decoder": True,
    },
    "t5": {"decoder_start_token_id": 0},
    "xmod": {**_DECODER, "languages": ["en"], "default_language": "en"},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"],
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "use_mamba_kernels": False,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"],
        **{
            "n_mamba_heads": 8,
            "mamba_d_state": 8,
            "chunk_size": 8,
            "num_key_value_heads": 4,
            "use_mamba_kernels": False,
        },
    },
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 8},
}


_MODALITIES = "wraps images or sound round a text model"
NOT_TRIED: Mapping[str, str] = {
    "blt": "cannot be made tiny: four models in one",
    **dict.fromkeys(("cohere_compass_text", "dbrx"), "transformers 5.23 cannot make it from a configuration"),
    **dict.fromkeys(("dots3_note", "emu3", "fuyu", "gemma3", "gemma3n", "gemma4", "gemma4_assistant"), _MODALITIES),
    **dict.fromkeys(("gemma4_unified", "gemma4_unified_assistant", "git", "got_ocr2", "llama4", "mllama"), _MODALITIES),
    **dict.fromkeys(("moss_transcribe_diarize", "musicgen", "musicgen_melody", "phi4_multimodal"), _MODALITIES),
    **dict.fromkeys(("qwen3_5", "qwen3_5_moe", "qwen4_exp", "whisper"), _MODALITIES),
    "reformer": "needs texts of one fixed length",
}
"""Causal architectures that no test runs, and why."""
ENCODERS_AND_DECODERS = ("led", "longt5", "m2m_100", "mt5", "pegasus_x", "t5", "umt5")
"""Those that transformers does not count among the causal architectures, as it does BART, PLBART and others."""
REFUSED = ("nllb-moe", "switch_transformers")
"""Encoder-decoder models of experts: their decoders ask for their encoders' routing."""


def tiny_config(kind: str) -> PretrainedConfig:
    """A small configuration of a model type."""
    cls = CONFIG_MAPPING[kind]
    known = inspect.signature(cls.__init__).parameters
    return cls(**{name: value for name, value in _SIZES.items() if name in known} | dict(_ROWS.get(kind, {})))


def tiny(kind: str, seed: int = 0) -> PreTrainedModel:
    """A random model of a model type in float32, sure of its next token."""
    config = tiny_config(kind)
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    model = auto.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for weight in model.parameters():
            spread = float(weight.std()) if weight.ndim > 1 else 0.0
            if 0 < spread < _SPREAD:
                weight.mul_(_SPREAD / spread)
    return model
