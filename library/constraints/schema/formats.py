"""Formats of strings: those that engines enforce, and patterns for some that engines take too loosely.

A pattern may leave out some texts of its format (leap seconds, names longer than four parts); it lets none in that is not of it.
"""

FORMATS = frozenset(("email", "ipv4", "ipv6", "uri", "uuid", "duration"))

_MONTHS = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DATE = rf"(?:[0-9]{{4}}-{_MONTHS}|{_LEAP}-02-29)"
"""RFC 3339 full-date, years of the Gregorian calendar."""
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
"""RFC 3339 full-time without leap seconds."""
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9]|-[A-Za-z0-9]){0,30}"
"""At most 61 characters, no two hyphens together: none that could be an encoded one."""
PATTERNS = {
    "date": f"^{DATE}$",
    "time": f"^{TIME}$",
    "date-time": f"^{DATE}[Tt]{TIME}$",
    "hostname": rf"^{LABEL}(?:\.{LABEL}){{0,3}}$",
}
