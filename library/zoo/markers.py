"""The special tokens of the zoo's one tokenizer, how a dialogue is written with them, and how long it may be."""

VOCABULARY = 4096
CONTEXT = 512

END = "<|end|>"
PAD = "<|pad|>"
MASK = "<|mask|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
THINK, THINK_END = "<|think|>", "<|/think|>"
ANSWER, ANSWER_END = "<|answer|>", "<|/answer|>"
# Never written: what a reward model predicts after a step, in place of what follows it.
GOOD, BAD = "<|good|>", "<|bad|>"

# Spare entries let a later recipe name a token of its own without resizing any trained embedding; 0 and 1 became GOOD and BAD.
SPARE = tuple(f"<|spare_{i}|>" for i in range(2, 6))
SPECIAL = (END, PAD, MASK, SYSTEM, USER, ASSISTANT, THINK, THINK_END, ANSWER, ANSWER_END, GOOD, BAD, *SPARE)
VERDICTS = (SPECIAL.index(GOOD), SPECIAL.index(BAD))
"""Their ids: an id of a special token is its place."""

# Equal to Example.prompt_text() on the same turns; a test compares the two.
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
