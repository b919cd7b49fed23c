"""A tokenizer of transformers as the runtime sees it."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


class HuggingFaceText:
    """Ids of a text and the text of ids; ``eos`` holds every id that ends a generation."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: frozenset[int]) -> None:
        self.tokenizer, self.eos = tokenizer, eos
        self.vocab = max(tokenizer.get_vocab().values()) + 1
        self.mask: int | None = tokenizer.mask_token_id

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """``special``: with what goes around a prompt, such as a start token; off for words and stop strings."""
        return list(self.tokenizer.encode(text, add_special_tokens=special))

    def decode(self, ids: Sequence[int]) -> str:
        """The text without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
