"""Text told while it grows: only what no later token can take back."""

from collections.abc import Iterable, Iterator

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What stands for bytes that are not yet a character."""


def told(texts: Iterable[str]) -> Iterator[str]:
    """The pieces by which a growing text is told, given how it reads after each step.

    The end of a text that is bytes without a character waits for the rest of it, or for the last text. A tokenizer whose texts do
    not begin with one another is told by what they have in common.
    """
    said, text = "", ""
    for text in texts:
        whole = text.rstrip(INCOMPLETE)
        if len(whole) > len(said) and whole.startswith(said):
            yield whole[len(said) :]
            said = whole
    if len(text) > len(said) and text.startswith(said):
        yield text[len(said) :]
