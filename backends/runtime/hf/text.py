"""A tokenizer of transformers as the runtime sees it."""

from collections.abc import Mapping, Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from penstock.ir.errors import PenstockError


class HuggingFaceText:
    """Ids of a text and the text of ids; ``eos`` holds every id that ends a generation."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: frozenset[int]) -> None:
        self.tokenizer, self.eos = tokenizer, eos
        self.vocab = max(tokenizer.get_vocab().values()) + 1
        self.mask: int | None = tokenizer.mask_token_id

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """``special``: with what goes around a prompt, such as a start token; off for words and stop strings."""
        return list(self.tokenizer.encode(text, add_special_tokens=special))

    def dialogue(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The dialogue as the tokenizer's chat template writes it, up to where the next turn begins. Raises PenstockError."""
        if not self.tokenizer.chat_template:
            raise PenstockError("the tokenizer has no chat template", fix="give the prompt as a text")
        try:
            told = self.tokenizer.apply_chat_template([*messages], tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            what = f"the chat template refuses the dialogue: {error}"
            raise PenstockError(what, fix="look at its roles and their order") from None
        return str(told)

    def decode(self, ids: Sequence[int]) -> str:
        """The text without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
