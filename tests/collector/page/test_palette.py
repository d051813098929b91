"""Every state of the matrix is told from every other by its colour, also by people who are colour-blind, and by its symbol."""

import re
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from collector.page import assets

Floats = npt.NDArray[np.float64]
SIMULATED = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What linear RGB looks like (Machado, Oliveira, Fernandes 2009, severity 1)."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
APART = 10.0
"""Least distance of two colours in CIE L*a*b*; 2.3 is just noticeable side by side."""
READABLE = 3.0
"""Least contrast of a symbol with its colour (WCAG 2.2, 1.4.11)."""


def states() -> dict[str, dict[str, str]]:
    text = assets()["palette.js"].body.decode()
    form = r'\{ word: "([^"]*)", symbol: "([^"]*)", light: "(#\w{6})", dark: "(#\w{6})" \}'
    return {word: {"symbol": symbol, "light": light, "dark": dark} for word, symbol, light, dark in re.findall(form, text)}


def linear(colour: str) -> Floats:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: Floats) -> Floats:
    x, y, z = (np.cbrt(share) if share > 0.008856 else 7.787 * share + 16 / 116 for share in XYZ @ np.clip(light, 0, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIMULATED)
def test_all_states_differ_in_colour_to_every_sight(theme: str, sight: str) -> None:
    seen = {word: lab(np.array(SIMULATED[sight]) @ linear(state[theme])) for word, state in states().items()}
    assert len(seen) == 11
    near = {(one, other) for one, other in combinations(seen, 2) if np.linalg.norm(seen[one] - seen[other]) < APART}
    assert near == set()


def test_all_states_differ_in_their_symbol_and_only_what_is_well_or_not_there_has_none() -> None:
    found = states()
    assert [word for word, state in found.items() if not state["symbol"]] == ["no path", "ok"]
    symbols = [state["symbol"] for state in found.values() if state["symbol"]]
    assert len(set(symbols)) == len(symbols) == 9


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_symbol_can_be_read_on_its_colour(theme: str) -> None:
    """In black or white, whichever `over` takes."""
    for word, state in states().items():
        red, green, blue = (int(state[theme][at : at + 2], 16) for at in (1, 3, 5))
        ink = "#14202b" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"
        dark, light = sorted(float(XYZ[1] @ linear(one)) for one in (ink, state[theme]))
        assert (light + 0.05) / (dark + 0.05) >= READABLE, word
