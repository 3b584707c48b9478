"""The model class that lm-eval knows as `qharness`: it loads and quantizes, from the strings of `--model_args`."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import torch
from lm_eval.api.model import CacheHook
from lm_eval.utils import simple_parse_args_string

from qharness.errors import ModelError, SettingError
from qharness.models.chat_template import THINKING_SWITCHES
from qharness.models.lm import LoadedLM, parse_batch_size
from qharness.models.loading import load_model
from qharness.quantization.application import quantize_bound
from qharness.quantization.quantized_models import values_key
from qharness.quantization.resolution import bind_model, resolve
from qharness.registry import own_version
from qharness.specs import ModelSpec


class QHarnessLM(LoadedLM):
    """A Hugging Face model, causal or encoder-decoder, quantized on loading.

    In lm-eval's command line: `--model qharness --model_args pretrained=DIR,quant=int8-dynamic`. A spec with several
    options holds commas: give model_args as JSON then. `batch_size` is how many completions are made at a time; where
    it is `auto` or not given, as many as memory holds. `enable_thinking`: with `--apply_chat_template`, the template's
    switch for thinking.
    """

    def __init__(
        self,
        pretrained: str,
        quant: str = "none",
        calib: str | None = None,
        seed: int = 0,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        trust_remote_code: bool = False,
        enable_thinking: bool | None = None,
    ) -> None:
        bound = bind_model(ModelSpec(str(pretrained), str(quant), None if calib is None else str(calib), seed))
        asked = parse_batch_size(batch_size)
        absent = str(device).startswith("cuda") and not torch.cuda.is_available()  # lm-eval's default is cuda:0
        loaded = load_model(
            bound.spec.model,
            "auto" if absent or device is None else device,
            dtype,
            placed=False,
            trust_remote_code=trust_remote_code,
        )
        quantize_bound(loaded, bound)
        super().__init__(loaded, seed, asked)
        self._bound = bound
        self.batch_dependent = bound.quantizer.batch_dependent
        if enable_thinking is not None:
            self.chat_template_args = dict.fromkeys(THINKING_SWITCHES, enable_thinking)

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Keep this model's answers in a table of their own of the file that `--use_cache` names.

        lm-eval's key of an answer is its request alone, which other models share. Raises SettingError where a
        completion depends on those that are made with it: some of them would come from the file.
        """
        quant, device = self._bound.spec.quant, str(self.device)
        if self.batch_dependent:
            raise SettingError(
                f"--use_cache: a completion by {quant} depends on its batch, of which the cache may hold a part: "
                "leave the option out"
            )
        spec = replace(self._bound.spec, device=device, dtype=str(self.model.dtype).removeprefix("torch."))
        table = f"qharness-{own_version()}-{values_key(resolve(replace(self._bound, spec=spec)))}"
        answers = cache_hook.dbdict  # a SqliteDict
        type(answers)(answers.filename, tablename=table).close()  # makes the table
        answers.tablename = table
        super().set_cache_hook(cache_hook)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template that lm-eval asks for. Raises ModelError where the tokenizer has none."""
        if chat_template and not self.tokenizer.chat_template:
            model = self._bound.spec.model
            raise ModelError(f"--apply_chat_template: the tokenizer of {model!r} has no chat template; leave it out")
        found: str | None = super().chat_template(chat_template)
        return found

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> QHarnessLM:
        """From lm-eval's `--model_args`. Raises SettingError for an argument that does not exist."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> QHarnessLM:
        """From lm-eval's `--model_args` given as JSON. Raises SettingError for an argument that does not exist."""
        known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        if unknown := sorted(set(arg_dict) - set(known)):
            raise SettingError(f"model_args: there is no {unknown[0]!r}; known: {', '.join(known)}")
        given = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**{**given, **arg_dict})
