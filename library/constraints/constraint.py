"""What constraints have in common: a grammar that the text must be of, from where generation begins to where it ends."""

from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.host import Text
from penstock.ir.ops.matching import allowed, forced, matched, only
from penstock.library.constraints.engine.deadline import compiles_within
from penstock.library.constraints.engine.matcher import Anything
from penstock.library.constraints.engine.pieces import Tokens
from penstock.library.constraints.engine.states import states_over
from penstock.library.constraints.letters import Letters
from penstock.library.constraints.schema.reach import Reach


class Constraint(Stage):
    """A grammar as an automaton: its state at a site is the number that a text of that site has among the grammar's states.

    The end of text is allowed exactly where the grammar may end, other special tokens only where a grammar names them.
    """

    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    hard_mask: ClassVar[bool] = True
    any_lead: ClassVar[bool] = True
    limit: ClassVar[Any] = None
    """Where a row ends, set where `bounded`."""

    compile_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """How long the grammar may take to compile."""
    _states: Any = PrivateAttr(default_factory=Anything)
    """What the states stand for; of an unbound stage nothing."""

    field: ClassVar[str]
    """The field that holds the grammar."""

    def said(self) -> str:
        """The grammar as the engine is given it."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises PenstockError for what is wrong with the grammar as far as that can be told without an engine."""

    def reach(self) -> Reach | None:
        """How far a text is ever from its end; None where that has no bound."""
        return None

    def toy(self) -> Self:
        """The same stage with a grammar over the digits 1 and 2."""
        raise NotImplementedError

    def knowing(self, text: Text) -> Self:
        """With an engine's matcher over the tokenizer's bytes; compiled in time, or refused."""
        try:
            grammar = self.said()
            compiles_within(grammar, self.compile_seconds)
            return self._over(grammar, text)
        except PenstockError as error:
            raise self.wrong(error) from None

    def small(self, v: int) -> Self:
        """The engine's own matcher, over digits."""
        toy = self.toy()
        return toy._over(toy.said(), Letters(v))

    def _over(self, grammar: str, tokens: Tokens) -> Self:
        bound = self.model_copy()
        bound._states = states_over(grammar, tokens, self.reach(), self.wrong)
        return bound

    def wrong(self, error: PenstockError) -> PenstockError:
        """The error, of this stage and at its place."""
        what = f"stage {self.kind}, field {self.field}: {error.what}"
        return PenstockError(what, where=error.where or self.place_of(self.field), fix=error.fix)

    def file(self, name: str) -> str:
        """A file beside the spec. Raises PenstockError for one that cannot be read."""
        try:
            return self.beside_spec(name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no UTF-8"
            raise PenstockError(f"{name} cannot be read: {why}", fix="name a file beside the spec") from None

    def forget(self) -> None:
        self._states.forget()

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        if isinstance(self._states, Anything):
            try:
                self.check()
            except PenstockError as error:
                raise self.wrong(error) from None
        return torch.tensor(0)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Any:
        return matched(self._states, state, token)

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return only(logits, allowed(self._states, state, self.limit))

    def forced(self, state: Tensor, length: int) -> Any:
        """``(token, valid)``, each ``[b,length]``: what any text must go on with."""
        return forced(self._states, state, length)
