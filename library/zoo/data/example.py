"""One training example: a request, an optional thought, an answer."""

from dataclasses import dataclass

from penstock.library.zoo import markers


@dataclass(frozen=True)
class Example:
    """What is asked, what is thought on the way, what is answered; ``template`` and ``pair`` say what splits it."""

    kind: str
    prompt: str
    answer: str
    thought: str = ""
    system: str = ""
    template: str = ""
    pair: tuple[str, object, object] | None = None

    def prompt_text(self) -> str:
        """What a model is given: everything up to its own turn."""
        system = markers.SYSTEM + self.system if self.system else ""
        return system + markers.USER + self.prompt + markers.ASSISTANT

    def reply_text(self) -> str:
        """What a model should write, its end included."""
        thought = markers.THINK + self.thought + markers.THINK_END if self.thought else ""
        return thought + markers.ANSWER + self.answer + markers.ANSWER_END + markers.END

    def text(self) -> str:
        """The whole dialogue."""
        return self.prompt_text() + self.reply_text()
