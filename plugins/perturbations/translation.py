"""Paraphrases by translating to another language and back, as NL-Augmenter's BackTranslation does (Dhole et al. 2021).

The default models are its own, FSMT of Ng et al. 2019 for English and German. Any pair of encoder-decoder checkpoints
of transformers can be used that needs no prefix or language code.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qharness import CheckedOptions, MissingDependencyError, ModelError, cache_path, first_line, option, parse_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SHORTEST = 2  # words: less is no sentence to paraphrase
_LONGEST = 512  # tokens of a translation, where the model does not say
_TOO_SHORT = 20  # transformers' default, no choice of the model's authors


@dataclass(frozen=True)
class BackTranslation(CheckedOptions):
    """Sentences translated from English to German and back, by two models of transformers."""

    name: ClassVar[str] = "back-translation"
    whole_sentences: ClassVar[bool] = True

    there: str = option("facebook/wmt19-en-de", "model from English to the other language: an id or a folder")
    back: str = option("facebook/wmt19-de-en", "model from the other language to English")
    beams: int = option(2, "beams of the way back; the way there takes its model's own", least=1)
    batch: int = option(16, "texts at a time", least=1)

    def __call__(self, text: str, rng: random.Random) -> str:
        """Paraphrase one text; nothing is drawn."""
        return self.perturb_all([text], [rng])[0]

    def perturb_all(self, texts: Sequence[str], rngs: Sequence[random.Random]) -> list[str]:
        """Paraphrase texts; paraphrases that any run made before with these models are read from the cache."""
        path = cache_path("back-translations", f"{self._key()}.jsonl")
        known = dict(_read(path))
        new = [text for text in dict.fromkeys(texts) if text not in known and len(text.split()) >= _SHORTEST]
        if new:
            foreign = translate(new, self.there, None, self.batch)
            made = dict(zip(new, translate(foreign, self.back, self.beams, self.batch), strict=True))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(pair) + "\n" for pair in made.items())
            known |= made
        return [known.get(text, text) for text in texts]

    def _key(self) -> str:
        """Hash all that a translation depends on besides the text: models (files' sizes and dates), beams, versions."""
        import torch
        import transformers

        models = [_identity(self.there), _identity(self.back)]
        key = [*models, self.beams, transformers.__version__, torch.__version__]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def _identity(model: str) -> list[Any]:
    folder = Path(model)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [model, [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]]


def _read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, paraphrase) pairs; skip lines that are damaged or were not written to their end."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            text, paraphrase = parse_json(line)
        except (TypeError, ValueError):  # no pair, or no JSON
            continue
        yield text, paraphrase


def translate(texts: Sequence[str], model: str, beams: int | None, batch: int) -> list[str]:
    """Translate texts, in batches of about one length; `beams` None takes the model's own number."""
    import torch

    tokenizer, loaded = _load(model)
    own = loaded.generation_config.max_length or 0
    longest, loaded.generation_config.max_length = own if own > _TOO_SHORT else _LONGEST, None
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    out = [""] * len(texts)
    options = {} if beams is None else {"num_beams": beams}
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            rows = tokenizer([texts[n] for n in places], return_tensors="pt", padding=True).to(loaded.device)
            ids = loaded.generate(  # type: ignore[operator]
                input_ids=rows["input_ids"],
                attention_mask=rows["attention_mask"],
                max_new_tokens=longest,
                do_sample=False,
                **options,
            )
            for n, text in zip(places, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
                out[n] = text.strip()
    return out


def _load(model: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load a translation model and its tokenizer, on a GPU if there is one. Raises ModelError in one line."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        loaded = AutoModelForSeq2SeqLM.from_pretrained(model)
    except ImportError as error:
        raise MissingDependencyError(f"what {model}'s tokenizer uses ({first_line(error)})", _INSTALL) from None
    except (OSError, ValueError) as error:
        where = "and HF_HUB_OFFLINE=1" if os.environ.get("HF_HUB_OFFLINE") == "1" else "is there a network?"
        raise ModelError(f"translation model {model!r} cannot be loaded: {first_line(error)} ({where})") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, loaded.to(device).eval()


_INSTALL = 'pip install "qharness[perturb]"'
