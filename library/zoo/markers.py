"""The special tokens of the zoo's one tokenizer, and how a dialogue is written with them."""

END = "<|end|>"
PAD = "<|pad|>"
MASK = "<|mask|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
THINK, THINK_END = "<|think|>", "<|/think|>"
ANSWER, ANSWER_END = "<|answer|>", "<|/answer|>"

# Spare entries let a later recipe name a token of its own without resizing any trained embedding.
SPARE = tuple(f"<|spare_{i}|>" for i in range(6))
SPECIAL = (END, PAD, MASK, SYSTEM, USER, ASSISTANT, THINK, THINK_END, ANSWER, ANSWER_END, *SPARE)

# Equal to Example.prompt_text() on the same turns; a test compares the two.
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
