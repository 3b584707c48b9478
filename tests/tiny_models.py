"""Small random models of the architectures that matter, with a byte-level tokenizer, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

VOCABULARY = 260  # 256 bytes and four special tokens
CONTEXT = 512
_COMMON = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A token a byte; <pad>, <s>, </s> and <unk> are 0 to 3."""
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*specials, *symbols])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _llama() -> transformers.PretrainedConfig:
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=CONTEXT, **_COMMON,
    )  # fmt: skip


def _codegen() -> transformers.PretrainedConfig:
    return transformers.CodeGenConfig(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        rotary_dim=4,
        n_positions=CONTEXT,
        n_ctx=CONTEXT,
        **_COMMON,
    )


def _xglm() -> transformers.PretrainedConfig:
    return transformers.XGLMConfig(
        vocab_size=VOCABULARY, d_model=32, ffn_dim=64, num_layers=2, attention_heads=4,
        max_position_embeddings=CONTEXT, **_COMMON,
    )  # fmt: skip


def _t5() -> transformers.PretrainedConfig:
    return transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0,
        n_positions=CONTEXT, pad_token_id=0, eos_token_id=2,
    )  # fmt: skip


def _plbart() -> transformers.PretrainedConfig:
    return transformers.PLBartConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=CONTEXT,
        decoder_start_token_id=2, forced_eos_token_id=None, **_COMMON,
    )  # fmt: skip


CONFIGS = {"llama": _llama, "codegen": _codegen, "xglm": _xglm, "t5": _t5, "plbart": _plbart}


def make_model(architecture: str, seed: int = 0, sharp: bool = False) -> transformers.PreTrainedModel:
    """A random model in float32, in evaluation mode; a sharp one is sure of its next token."""
    config = CONFIGS[architecture]()
    if sharp:  # weights 15 times a new model's, each architecture naming them its own way
        config.initializer_range = config.init_std = 0.3
        config.initializer_factor = 3.0
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    return auto.from_config(config).eval()


def save_model(architecture: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model and the tokenizer where `from_pretrained` finds them."""
    make_model(architecture, seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save_chat_model(folder: Path, template: str, seed: int = 0) -> Path:
    """Write a random Llama of a longer context whose tokenizer begins a text with <s> and has a chat template."""
    config = _llama()
    config.max_position_embeddings, config.initializer_range = 4 * CONTEXT, 0.3
    torch.manual_seed(seed)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    found = tokenizer()
    begin = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    found.backend_tokenizer.post_processor = begin
    found.chat_template = template
    found.save_pretrained(folder)
    return folder


def save_fsmt(folder: Path, seed: int) -> Path:
    """Write a small random FSMT, the architecture of facebook/wmt19-en-de, with its own tokenizer: a token a letter."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz.,"
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = json.dumps({token: i for i, token in enumerate(tokens)})
    for name in ("vocab-src.json", "vocab-tgt.json"):
        (folder / name).write_text(vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = [str(folder / name) for name in ("vocab-src.json", "vocab-tgt.json", "merges.txt")]
    transformers.FSMTTokenizer(["en", "de"], *files).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.FSMTConfig(
        langs=["en", "de"], src_vocab_size=len(tokens), tgt_vocab_size=len(tokens), d_model=16, init_std=0.5,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_position_embeddings=CONTEXT, num_beams=3, length_penalty=1.0, early_stopping=False,
    )  # fmt: skip
    transformers.FSMTForConditionalGeneration(config).save_pretrained(folder)
    return folder
