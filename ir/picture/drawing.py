"""What a picture shows: boxes of one kind or another, and arrows between them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """Something with a title and lines of detail; ``kind`` decides its colour."""

    name: str
    title: str
    lines: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Arrow:
    """From one box to another, by name; an aside is what is used rather than what flows."""

    start: str
    end: str
    label: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Drawing:
    """A picture without cycles; ``across``: it reads from left to right, else from top to bottom."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    across: bool = True


COLOURS = {
    "drafter": "#3b82f6",
    "scorer": "#8b5cf6",
    "acceptor": "#8b5cf6",
    "denoiser": "#8b5cf6",
    "transform": "#10b981",
    "gate": "#f59e0b",
    "controller": "#f59e0b",
    "unmasker": "#ec4899",
    "tap": "#64748b",
    "program": "#ef4444",
    "model": "#94a3b8",
    "view": "#94a3b8",
    "text": "#0f172a",
}
OTHER = "#64748b"
