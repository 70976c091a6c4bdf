"""Numbers, durations and configurations as text."""

import dataclasses
import html
import math
import re
from collections.abc import Iterator

MISSING = "—"
SPACE = "\u00a0"
# Outside this range, a number is printed with an exponent.
_PLAIN = (1e-6, 1e9)
_LARGEST_COUNT = 1e18
# A coefficient that vanished in a fit stops somewhere below; no law's constant is so small.
_NO_CONSTANT = 1e-100
# From this many hours on, minutes are left out.
_HOURS_ONLY = 48
# Mantissa, exponent, and the noun of a count.
_WITH_EXPONENT = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)(e[+-]?\d+)\b( tokens| parameters)?")
SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def known(value: object) -> bool:
    """Whether the value is a finite number."""
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def count(value: object, digits: int = 3) -> str:
    """A number of parameters, tokens or steps: 1234567 is "1.23 M"."""
    if not known(value):
        return MISSING
    number = float(value)  # type: ignore[arg-type]
    if abs(number) >= _LARGEST_COUNT:
        return flops(number, digits - 1)
    for unit, suffix in SUFFIXES:
        # 999_999 must round up into "1 M", not "1e+03 k".
        if abs(number) >= unit * (1 - 0.5 * 10**-digits):
            return f"{_significant(number / unit, digits)}{SPACE}{suffix}"
    return _significant(number, digits)


def flops(value: object, digits: int = 2) -> str:
    """Floating-point operations: 3.4e12."""
    if not known(value):
        return MISSING
    mantissa, exponent = f"{float(value):.{digits}e}".split("e")  # type: ignore[arg-type]
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def loss(value: object, digits: int = 4) -> str:
    """A loss in nats per token: 1.7321."""
    return f"{float(value):.{digits}f}" if known(value) else MISSING  # type: ignore[arg-type]


def significant(value: object, digits: int = 3) -> str:
    """A number with `digits` significant digits: 1234.5 is "1234" at 4 digits."""
    return _significant(float(value), digits) if known(value) else MISSING  # type: ignore[arg-type]


def constant(value: float) -> str:
    """A constant of a law to four digits: 0.3478; 0 where it is too small to have been fitted."""
    if not math.isfinite(value):
        return str(value)
    return "0" if abs(value) < _NO_CONSTANT else f"{value:.4g}"


def percent(value: object, digits: int = 2) -> str:
    """A signed percentage with a true minus sign: −1.25 %."""
    if not known(value):
        return MISSING
    return f"{float(value):+.{digits}f}{SPACE}%".replace("-", "−")  # type: ignore[arg-type]


def seconds(value: object) -> str:
    """A duration: 4.2 s, 3 min 5 s, 2 h 10 min."""
    if not known(value):
        return MISSING
    total = float(value)  # type: ignore[arg-type]
    if total < 59.95:
        return f"{_significant(total, 2)}{SPACE}s"
    whole = round(total)
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60}{SPACE}s"
    minutes = round(total / 60)
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def duration(value: float) -> str:
    """A duration as `seconds` writes it; only an order of magnitude below 1 s and above 48 h."""
    if value < 1:
        return "< 1 s"
    if value >= _HOURS_ONLY * 3600:
        return f"{value / 3600:,.0f} h"
    return seconds(value)


def money(price: float) -> str:
    """A price in any currency: whole from 100 on."""
    return f"{price:,.0f}" if price >= 100 else f"{price:.2f}"


def plain_spaces(text: str) -> str:
    """Text with ordinary spaces for the unbreakable ones, so that it can be copied and searched."""
    return text.replace(SPACE, " ")


def one_style(text: str) -> str:
    """A sentence whose numbers with an exponent are written as `count` and `flops` write them.

    >>> plain_spaces(one_style("1.99e+04 is below 2.5e+10 tokens at 7.49e+10 FLOPs"))
    '19.9 k is below 25 B tokens at 7.49e10 FLOPs'
    """

    def written(found: "re.Match[str]") -> str:
        value, noun = float(found[1] + found[2]), found[3] or ""
        if noun or 1 <= value < _PLAIN[1]:
            return count(value) + noun
        return f"{found[1]}e{int(found[2][1:])}"

    return _WITH_EXPONENT.sub(written, text)


def interval(bounds: object, formatter: object = count) -> str:
    """Two bounds as "a to b"; an infinite bound prints "unbounded"; empty without bounds."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        return ""
    assert callable(formatter)
    low, high = bounds
    if known(low) and known(high):
        return f"{formatter(low)}{SPACE}to{SPACE}{formatter(high)}"
    if (low, high) == (-math.inf, math.inf):
        return "unbounded"
    if known(low) and high == math.inf:
        return f"above{SPACE}{formatter(low)}, unbounded"
    if known(high) and low == -math.inf:
        return f"below{SPACE}{formatter(high)}, unbounded"
    return ""


def level(value: float) -> str:
    """A confidence level: 0.9 is "90 %"."""
    return f"{100 * value:g}{SPACE}%"


def preformatted(text: str) -> str:
    """Text as HTML with its line breaks and spaces, as a notebook shows it."""
    return f"<pre>{html.escape(plain_spaces(text))}</pre>"


class Readable:
    """A dataclass that prints with one field in a line, those of a field's own fields indented."""

    def __str__(self) -> str:
        return "\n".join([type(self).__name__, *_lines(self, "  ")])

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def _lines(value: object, indent: str) -> Iterator[str]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        inner = getattr(value, field.name)
        if isinstance(inner, Readable):
            yield f"{indent}{field.name}: {type(inner).__name__}"
            yield from _lines(inner, f"{indent}  ")
        else:
            yield f"{indent}{field.name}: {inner!r}"


def _significant(number: float, digits: int) -> str:
    if number == 0:
        return "0"
    if not _PLAIN[0] <= abs(number) < _PLAIN[1]:
        return flops(number, digits - 1).replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    text = f"{number:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
