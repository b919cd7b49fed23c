"""Typical acceptance: an approximation, so a stage of its own and not a rule that a verifier names."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.rules import Typical


class TypicalAcceptor(Stage):
    """Keeps a drafted token that the target finds likely enough, sampled or not (typical acceptance; Medusa, arXiv 2401.10774).

    A child stays where its probability exceeds ``min(epsilon, delta exp(-H))``, H the entropy of the target's distribution there
    in nats; of several the first drafted. Where none does, a token is drawn from the target. What is decoded leans towards what
    is drafted: the smaller the knobs, the more of it is kept, and the further the text is from the target's own.
    """

    kind: ClassVar[str] = "acceptor.typical"
    role: ClassVar[Role] = "acceptor"
    effect: ClassVar[Effect] = "approximates"
    rule: ClassVar[str] = "typical"

    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.09
    """The probability that is always enough (0.09 in the authors' code)."""
    delta: Annotated[float, Field(gt=0)] = 0.3
    """Of ``exp(-H)``, how much is enough where the target is unsure (0.3 there, the root of epsilon)."""

    def acceptance(self) -> Typical:
        """The rule with its knobs."""
        return Typical(self.epsilon, self.delta)

    def reference(self) -> None:
        """The verifier's own verdict."""
        return

    def small(self, v: int) -> "TypicalAcceptor":
        return self
