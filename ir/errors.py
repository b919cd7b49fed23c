"""The one exception a user's mistake becomes."""


class PenstockError(Exception):
    """A mistake in what the user declared or asked: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(str(self))

    def at(self, where: str | None) -> "PenstockError":
        """The same mistake with a place, if it has none."""
        return self if self.where or not where else PenstockError(self.what, where=where, fix=self.fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{place}{self.what}{remedy}"
