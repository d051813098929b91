"""How many of n packets random loss of probability p takes, so that bands in scenarios are computed and not guessed."""

from math import exp, lgamma, log


def binomial_band(n: int, p: float, confidence: float = 0.999) -> tuple[int, int]:
    """Lowest and highest count with each tail beyond them below (1 - confidence) / 2, by the binomial law.

    Raises ValueError unless n > 0, 0 < p < 1 and 0 < confidence < 1.
    """
    if n <= 0 or not 0 < p < 1 or not 0 < confidence < 1:
        msg = f"there is no band for n={n}, p={p}, confidence={confidence}"
        raise ValueError(msg)
    tail = (1 - confidence) / 2
    return _reached(n, p, tail), n - _reached(n, 1 - p, tail)


def _reached(n: int, p: float, tail: float) -> int:
    """Lowest count whose cumulative probability exceeds `tail`."""
    total = 0.0
    for count in range(n + 1):
        combinations = lgamma(n + 1) - lgamma(count + 1) - lgamma(n - count + 1)
        total += exp(combinations + count * log(p) + (n - count) * log(1 - p))
        if total > tail:
            return count
    return n
