"""Chat templates, each with what one family of models does differently."""

from __future__ import annotations

PLAIN = """{% for turn in messages %}<|{{ turn.role }}|>
{{ turn.content }}</s>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""
"""Begins with no begin token, as the templates of SmolLM2 and Qwen do."""

TRIMMING = """{{ bos_token }}{% for turn in messages %}[{{ turn.role }}]

{{ turn.content | trim }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]

{% endif %}"""
"""Begins with the begin token and trims each turn, as Llama 3's does."""

NO_SYSTEM = """{{ bos_token }}{% for turn in messages %}{% if turn.role == 'system' %}{{ raise_exception(
'a system turn is not supported') }}{% endif %}<{{ 'model' if turn.role == 'assistant' else turn.role }}>
{{ turn.content | trim }}</s>
{% endfor %}{% if add_generation_prompt %}<model>
{% endif %}"""
"""Refuses a system's turn, as Gemma 2's does."""

MUTE_SYSTEM = """{% for turn in messages if turn.role != 'system' %}<|{{ turn.role }}|>{{ turn.content }}</s>
{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
"""Leaves a system's turn out and says nothing."""

THINKING = """{% for turn in messages %}<|{{ turn.role }}|>
{% if turn.role == 'assistant' and loop.last %}<think>

</think>

{% endif %}{{ turn.content }}</s>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""
"""Has a switch for thinking and puts an empty thought before an answer that is given, as Qwen3's does."""

NO_ANSWER = (
    """{% for turn in messages if turn.role == 'user' %}<|user|>{{ turn.content }}</s>{% endfor %}<|assistant|>"""
)
"""Has no place for an assistant's turn."""

ALL = {"plain": PLAIN, "trimming": TRIMMING, "no-system": NO_SYSTEM, "mute-system": MUTE_SYSTEM, "thinking": THINKING}
