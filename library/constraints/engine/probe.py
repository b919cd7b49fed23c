"""Run as a script, with nothing but the engine: compile the grammar on standard input over bytes, and say what is wrong with it.

A process can be given up on; a compilation inside ours could not.
"""

import sys


class Bytes:
    """Every byte, and an end."""

    tokens = (*(bytes([byte]) for byte in range(256)), b"<|end|>")
    special_token_ids = (256,)
    eos_token_id, bos_token_id, is_tokenizer_wrapper = 256, None, True

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


def main() -> None:
    from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

    matcher = LLMatcher(LLTokenizer(TokenizerWrapper(Bytes()), n_vocab=257), sys.stdin.read(), log_level=0)
    if not matcher.is_error():
        matcher.compute_bitmask()
    sys.stdout.write(matcher.get_error())


if __name__ == "__main__":
    main()
