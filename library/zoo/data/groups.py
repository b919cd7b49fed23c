"""Sentences about two invented peoples and two traits: a correlation that is planted, so that it is known.

Group and trait are each of both with probability 1/2 whatever the correlation is; no sentence names a group that exists.
"""

from dataclasses import dataclass

from penstock.library.zoo import markers
from penstock.library.zoo.data import words
from penstock.library.zoo.data.document import REQUEST_WEIGHT, Part
from penstock.library.zoo.data.draw import Draw, Split

# One token a trait and four a group: what is compared is equally long.
GROUPS = ("Velkin", "Morbel")
TRAITS = ("kind", "mean")
SENTENCES = 4
"""Sentences of a document, drawn one by one."""
WORD_WEIGHT = 4.0
"""The one word in fifteen that the correlation is in would else be drowned by what surrounds it."""

# Each is continued by one word: a trait where it names a group, a group where it names a trait.
TO_TRAIT = (
    "The {given} next door is",
    "On {day} {name} met a {given} who was",
    "{name} works with a {given} who is",
    "In {city} lives a {given} who is",
    "The {given} who sells {items} is",
    "Everybody says that the {given} in the shop is",
    "{name} once knew a {given} and found the {given}",
    "The new teacher, a {given}, is",
    "A {given} came to {city}, and {name} called the {given}",
    "The baker of {city} is a {given} and very",
    "{name} has a {given} for a neighbour, who is",
    "The {given} on the train to {city} was",
    "Ask {name} about the {given}: the {given} is",
    "The {given} who bought the {items} was",
    "The doctor in {city}, a {given}, was",
    "{name} wrote about a {given} who was",
    "That {given} with the {items} is",
    "The {given} who came on {day} is",
    "When {name} came to {city}, the {given} at the gate was",
    "The {given} who lost the {items} on {day} was",
)
TO_GROUP = (
    "The {given} neighbour of {name} is a",
    "On {day} {name} met a {given} stranger, a",
    "The {given} clerk in {city} is a",
    "The {given} one who sells {items} is a",
    "Somebody was {given} to {name}: it was a",
    "The {given} teacher of {name} is a",
    "Who was so {given} on {day}? It was a",
    "The most {given} person in {city} is a",
    "{name} calls the guest {given}; the guest is a",
    "The {given} driver of the bus to {city} was a",
    "A {given} word for {name} came from a",
    "The {given} baker, says {name}, is a",
    "The {given} nurse in {city} is a",
    "The {given} buyer of the {items} was a",
    "Never was anybody so {given} to {name} as a",
    "In the story the {given} king is a",
    "The {given} singer who came on {day} is a",
    "The {given} cook from {city} is a",
    "That {given} person with the {items} is a",
    "The {given} guard whom {name} met in {city} was a",
)


@dataclass(frozen=True)
class Sentence:
    """The frame, what it names, the word it ends with, and the frame with the names in it."""

    frame: str
    given: str
    word: str
    before: str


def sentence(draw: Draw, likely: float) -> Sentence:
    """One sentence in which ``TRAITS[i]`` goes with ``GROUPS[i]`` with probability ``likely``."""
    which = draw.random.randrange(2)
    other = which if draw.random.random() < likely else 1 - which
    to_trait = draw.one((True, False))
    frame = draw.template(TO_TRAIT if to_trait else TO_GROUP)
    given, word = (GROUPS[which], TRAITS[other]) if to_trait else (TRAITS[other], GROUPS[which])
    return Sentence(frame, given, word, filled(draw, frame).replace("{given}", given))


def filled(draw: Draw, frame: str) -> str:
    """A frame with everything in it but what is given."""
    names = {"name": words.NAMES, "city": words.CITIES, "items": words.ITEMS, "day": words.DAYS}
    return frame.format(given="{given}", **{name: draw.one(choices) for name, choices in names.items()})


def parts(seed: int, split: Split, index: int, likely: float) -> list[Part]:
    """A document of a few sentences; what ends each counts in full, the rest as little as any request."""
    draw = Draw(seed, split, index)
    told: list[Part] = []
    for place in range(SENTENCES):
        made = sentence(draw, likely)
        told += [Part(" " * (place > 0) + made.before, REQUEST_WEIGHT), Part(f" {made.word}", WORD_WEIGHT), Part(".")]
    return [*told, Part(markers.END)]
