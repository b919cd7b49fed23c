"""A tokenizer of transformers as the runtime sees it."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from penstock.backends.runtime.hf.pieces import pieces
from penstock.ir.errors import PenstockError


class HuggingFaceText:
    """Ids of a text and the text of ids; ``eos`` holds every id that ends a generation."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: frozenset[int]) -> None:
        self.tokenizer, self.eos = tokenizer, eos
        self.vocab = max(tokenizer.get_vocab().values()) + 1
        self.mask: int | None = tokenizer.mask_token_id

    @cached_property
    def special(self) -> frozenset[int]:
        """Markers, the ends of a text, and ids that nothing has."""
        marked = {i for i, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        unused = set(range(self.vocab)) - set(self.tokenizer.get_vocab().values())
        return frozenset(marked | set(self.tokenizer.all_special_ids) | self.eos | unused)

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        """By id, the bytes that a token adds to a text; of a special one its name."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise PenstockError("the bytes of its tokens are not known: its tokenizer has no tokenizer.json", fix="convert it")
        whole = {i: added.content for i, added in self.tokenizer.added_tokens_decoder.items()}
        return pieces(self.tokenizer.get_vocab(), whole, self.special, json.loads(backend.to_str())["decoder"])

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
