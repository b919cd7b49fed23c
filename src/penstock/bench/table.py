"""A contest as a few lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.bench.machine import described


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """What a contest's record says: a line a contender, where the pipeline's time went, and what it was measured on."""
    contenders: Mapping[str, Any] = record["contenders"]
    width = max(map(len, [*contenders, *record["absent"]]), default=0)
    yield f"{'':{width}}  {'ms a token':>24}  {'tokens/s':>8}  {'a forward':>9}  {'pipeline is':>24}  tokens"
    for name, each in contenders.items():
        faster = record["faster_than"].get(name)
        times = "" if faster is None else f"{faster['median']:.2f}x ({faster['low']:.2f}..{faster['high']:.2f})"
        speed, took = each["tokens_a_second"]["median"], spread(each["ms_a_token"])
        same = {True: "the same", False: "others", None: ""}[record["same_tokens"].get(name)]
        yield f"{name:{width}}  {took:>24}  {speed:8.1f}  {each['tokens_a_forward']:9.2f}  {times:>24}  {same}".rstrip()
    for name, why in record["absent"].items():
        yield f"{name:{width}}  {why}"
    yield from stages(contenders)
    rounds = len(next(iter(contenders.values()))["rounds"])
    told = record["settings"]
    counted = f"{rounds} round{'s' * (rounds != 1)} of {told['rows']} row{'s' * (told['rows'] != 1)}, batch {told['batch']}"
    most = f"{told['max_new_tokens']} tokens a row at most"
    means = ", ".join([told["dtype"], told["backend"], *(f"without {name}" for name in told["without"])])
    yield f"median (quarters) of {counted}, {most}; in turn; prefill {told['prefill']}; {means}"
    yield described(record["machine"])


def stages(contenders: Mapping[str, Any]) -> Iterator[str]:
    """Where the pipeline's time went."""
    spent: Mapping[str, float] = contenders["pipeline"]["stages_ms_a_token"]
    if spent:
        yield "by stage, ms a token: " + ", ".join(f"{name} {ms:.3f}" for name, ms in spent.items())


def spread(measured: Mapping[str, float]) -> str:
    return f"{measured['median']:.3f} ({measured['low']:.3f}..{measured['high']:.3f})"
