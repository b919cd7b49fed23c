"""Records told as a sentence and written as JSON under a schema."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.library.zoo.data import words
from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.data.example import Example

TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
# To JSON Schema 5.0 is an integer and true is none.
FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) in (int, float) and value % 1 == 0 and value >= 0,
    "boolean": lambda value: isinstance(value, bool),
}

PEOPLE = (
    "{name} is {age} years old, lives in {city} and works as a {job}.",
    "{name}, aged {age}, is a {job} in {city}.",
    "In {city} lives {name}, a {job} of {age} years.",
    "The {job} {name} lives in {city} and is {age} years old.",
    "At {age} years of age, {name} works in {city} as a {job}.",
    "Meet {name}: {age} years old, a {job}, at home in {city}.",
    "{name} works as a {job} in {city} at the age of {age}.",
    "A {job} from {city}, {name} is {age} years old.",
    "{name} from {city} is {age} years old and a {job}.",
    "We hired {name}, a {job} from {city} who is {age} years old.",
)
ORDERS = (
    "{buyer} orders {count} {item} for {price} euros{paid_text}.",
    "An order by {buyer}: {count} {item}, {price} euros{paid_text}.",
    "{count} {item} go to {buyer} for {price} euros{paid_text}.",
    "For {price} euros {buyer} orders {count} {item}{paid_text}.",
    "{buyer} wants {count} {item} at {price} euros{paid_text}.",
    "The shop sends {count} {item} to {buyer} for {price} euros{paid_text}.",
    "{buyer} asked for {count} {item}, that is {price} euros{paid_text}.",
    "Please send {buyer} {count} {item} for {price} euros{paid_text}.",
    "We sold {count} {item} to {buyer} for {price} euros{paid_text}.",
    "There is an order of {count} {item} from {buyer} worth {price} euros{paid_text}.",
)
TRIPS = (
    "The train from {start} to {end} leaves on {day} and takes {hours} hours.",
    "On {day} a train goes from {start} to {end} in {hours} hours.",
    "From {start} to {end} it is {hours} hours by train on {day}.",
    "A trip of {hours} hours leads from {start} to {end} on {day}.",
    "{day}: train from {start} to {end}, {hours} hours.",
    "We travel on {day} from {start} to {end}, which takes {hours} hours.",
    "Leaving {start} on {day}, the train reaches {end} after {hours} hours.",
    "It takes {hours} hours from {start} to {end} with the train on {day}.",
    "The {day} train from {start} reaches {end} in {hours} hours.",
    "To get from {start} to {end} on {day} you need {hours} hours.",
)
ASKS = (
    "Write this record as a sentence:",
    "Say this in a sentence:",
    "Turn this JSON into a sentence:",
    "Tell this record in words:",
    "Put this record into words:",
    "Make a sentence of this record:",
    "Read this record aloud:",
    "What does this record say?",
    "Write in plain English:",
    "Express this JSON in English:",
)


@dataclass(frozen=True)
class Kind:
    """A kind of record: its schema and the ways to say it."""

    name: str
    fields: dict[str, dict[str, Any]]
    sentences: tuple[str, ...]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema every record of this kind satisfies, keys in this order."""
        return {
            "type": "object",
            "properties": self.fields,
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def accepts(self, text: str) -> bool:
        """Whether a text is JSON under the schema, which is so small that it needs no validator."""
        try:
            found = json.loads(text)
        except ValueError:
            return False
        if not isinstance(found, dict) or found.keys() != self.fields.keys():
            return False
        return all(FITS[rule["type"]](found[key]) for key, rule in self.fields.items())


PERSON = Kind("person", {"name": TEXT, "age": WHOLE, "city": TEXT, "job": TEXT}, PEOPLE)
ORDER = Kind("order", {"buyer": TEXT, "item": TEXT, "count": WHOLE, "price": WHOLE, "paid": FLAG}, ORDERS)
TRIP = Kind("trip", {"start": TEXT, "end": TEXT, "day": TEXT, "hours": WHOLE}, TRIPS)
KINDS = {kind.name: kind for kind in (PERSON, ORDER, TRIP)}


def example(draw: Draw) -> Example:
    """A sentence to be written as JSON or, one time in four, the other way round."""
    kind = draw.one(tuple(KINDS.values()))
    pair, record = _record(draw, kind)
    template = draw.template(kind.sentences)
    written = json.dumps(record)
    if draw.one((True, True, True, False)):
        told = template.format(paid_text=_paid(record), **record)
        prompt = f"Write this {kind.name} as JSON with the keys {', '.join(kind.fields)}: {told}"
        return Example("record", prompt, written, template=template, pair=pair)
    # In this direction the request is the template: the sentence must be predictable from the record alone.
    opening = draw.template(ASKS)
    told = kind.sentences[0].format(paid_text=_paid(record), **record)
    return Example("record", f"{opening} {written}", told, template=opening, pair=pair)


def _record(draw: Draw, kind: Kind) -> tuple[tuple[str, object, object], dict[str, Any]]:
    """The pair that decides the split, and a record that holds it."""
    if kind is PERSON:
        first, family = draw.first_pair("person", words.NAMES, words.FAMILIES)
        age, city, job = draw.random.randint(18, 79), draw.one(words.CITIES), draw.one(words.JOBS)
        return ("person", first, family), {"name": f"{first} {family}", "age": age, "city": city, "job": job}
    if kind is ORDER:
        buyer, item = draw.first_pair("order", words.NAMES, words.ITEMS)
        numbers = {"count": draw.random.randint(2, 40), "price": draw.random.randint(2, 99)}
        return ("order", buyer, item), {"buyer": buyer, "item": item, **numbers, "paid": draw.one((True, False))}
    start, end = draw.first_pair("trip", words.CITIES, words.CITIES)
    if start == end:
        return _record(draw, kind)
    return ("trip", start, end), {
        "start": start,
        "end": end,
        "day": draw.one(words.DAYS),
        "hours": draw.random.randint(1, 12),
    }


def _paid(record: dict[str, Any]) -> str:
    return (", already paid" if record["paid"] else ", not paid yet") if "paid" in record else ""
