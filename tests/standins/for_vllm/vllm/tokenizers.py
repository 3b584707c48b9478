from typing import Any

import transformers


def get_tokenizer(name: str, tokenizer_mode: str, **options: Any) -> Any:
    return transformers.AutoTokenizer.from_pretrained(name)
