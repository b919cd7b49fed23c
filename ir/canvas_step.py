"""The canvas step as a stage sees it while it is traced: what is committed, what was predicted, and the static step itself."""

from dataclasses import dataclass
from typing import Any

from penstock.ir.ops.canvas import held, open_positions, reveal, without_mask
from penstock.ir.ops.denoise import denoise
from penstock.ir.ports import Denoised
from penstock.ir.step import Step


@dataclass
class CanvasStep(Step):
    """One step under construction; every attribute is a traced value or a constant."""

    tokens: Any = None
    x0: Any = None
    conf: Any = None
    ready: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tokens, self.x0, self.conf, self.ready = held("seq")

    def open(self, tokens: Any) -> Any:
        """What a static step from these canvases ``[*b,l]`` may commit."""
        return open_positions("seq", tokens)

    def denoise(self, view: str, tokens: Any, wanted: Any) -> Any:
        """``[b,d,l,v]``: a view's logits on the wanted branches."""
        return denoise(f"view:{view}", "seq", tokens, wanted)

    def predict(self, unmasker: Any, logits: Any) -> tuple[Any, Any]:
        """``(x0, conf)``: what the unmasker takes from logits and how sure it is of each."""
        token, sure = unmasker.predict(without_mask("seq", logits))
        return token, sure

    def unmask(self, unmasker: Any, tokens: Any, x0: Any, conf: Any) -> Any:
        """The static step T: these canvases with what the unmasker proposes written."""
        proposed = unmasker.propose(Denoised(tokens, self.open(tokens), x0, conf))
        return reveal(tokens, proposed.position, proposed.token, proposed.count)
