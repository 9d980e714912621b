"""Looks of a study's curves: a label, a colour, a marker and a line each."""

from __future__ import annotations

from dataclasses import dataclass

from airreid.curve_style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from airreid.evaluation.study.anchors import QUANTISED, RAW
from airreid.evaluation.study.table import FIXED, GIVEN, MATCHED, RANGE

_BLACK, _YELLOW, _GREY = "#000000", "#A58A00", "#7F7F7F"
"""Beside the colours of all figures; Okabe and Ito's yellow is too light for thin lines."""


@dataclass(frozen=True)
class Line:
    """One curve of a figure: a scheme, how it was trained, and its looks."""

    scheme: str
    training: str
    label: str
    colour: str
    marker: str
    style: str = "-"


SCHEMES = (
    Line("ae-paper", MATCHED, "JSCC AE, L1 then cross-entropy (paper)", BLUE, "o"),
    Line("ae-l1", MATCHED, "JSCC AE, L1 alone", SKY, "o", "--"),
    Line("ae-retrieval", MATCHED, "JSCC AE, retrieval loss", GREEN, "s"),
    Line("ae-linear", MATCHED, "JSCC AE, linear, retrieval loss", GREEN, "D", "--"),
    Line("fc-paper", MATCHED, "JSCC FC, cross-entropy (paper)", ORANGE, "^"),
    Line("fc-retrieval", MATCHED, "JSCC FC, retrieval loss", VERMILLION, "v"),
    Line("nested", RANGE, "nested, one code for every B and SNR", PURPLE, "P"),
    Line("discriminant", "", "discriminant", _BLACK, "x", "--"),
    Line("pca", "", "PCA", _BLACK, "+", ":"),
    Line("digital-ideal", MATCHED, "digital, code of capacity", _YELLOW, "*", ":"),
    Line("digital-finite", MATCHED, "digital, best code of the length", _YELLOW, "d", "--"),
    Line("digital-coded", MATCHED, "digital, polar code", _YELLOW, "X"),
    Line("pq-coded", MATCHED, "product quantisation, polar code", PURPLE, "p", ":"),
    Line(f"{GIVEN}-jscc-fc", "", "linear code, as it came with the network", VERMILLION, "v"),
    Line(f"{GIVEN}-jscc-ae", "", "code with a decoder, as it came", BLUE, "o", "--"),
    Line(f"{GIVEN}-digital-ideal", "", "digital as it came, code of capacity", _YELLOW, "*", ":"),
    Line(f"{GIVEN}-digital", "", "digital as it came, polar code", _YELLOW, "X"),
)


def _trained(scheme: str, marker: str) -> tuple[Line, ...]:
    """Lines of a scheme that was trained at one SNR or another, or over the range."""
    single = (("-6", SKY), ("0", BLUE), ("10", _BLACK))
    lines = [Line(scheme, snr, f"trained at {snr} dB", colour, marker) for snr, colour in single]
    return (*lines, Line(scheme, RANGE, "trained from -10 to 10 dB", GREEN, marker, "--"))


ONE_SNR = {
    "JSCC AE, as in the paper": (
        *_trained("ae-paper", "o"),
        Line("digital-coded", FIXED, "digital, polar code, rate for 0 dB", _YELLOW, "X"),
    ),
    "JSCC FC, as in the paper": _trained("fc-paper", "o"),
    "JSCC FC, retrieval loss": (
        *_trained("fc-retrieval", "o"),
        Line("nested", RANGE, "nested, trained from -10 to 10 dB", PURPLE, "P", "--"),
    ),
}
"""Lines of Figure 4b by panel."""
JOINTLY = (
    Line("joint-ae-paper", "0", "JSCC AE as in the paper, trained at 0 dB", BLUE, "o"),
    Line("joint-ae-range", RANGE, "the same, trained from -10 to 10 dB", SKY, "o", "--"),
    Line("joint-ae-retrieval", RANGE, "JSCC AE, retrieval loss", GREEN, "s"),
    Line("joint-fc-paper", "0", "JSCC FC as in the paper, trained at 0 dB", ORANGE, "^"),
    Line("joint-fc-retrieval", RANGE, "JSCC FC, retrieval loss", VERMILLION, "v"),
    Line("joint-digital-paper", "", "digital as in the paper, polar code", _YELLOW, "X"),
    Line("joint-baseline-pca", "", "PCA, network trained without a channel", _BLACK, "x", "--"),
    Line("joint-fc-retrieval-pca", "", "PCA, network of JSCC FC, retrieval", PURPLE, "P", ":"),
    Line("pca", "", "PCA, network as given", _BLACK, "+", ":"),
)
"""Curves of networks that were trained together with their codes."""

BESIDE_ANCHORS = (
    Line("pca", "", "PCA, symbols as they are", _BLACK, "+", ":"),
    Line("discriminant", "", "discriminant, symbols as they are", _BLACK, "x", "--"),
    Line("fc-paper", MATCHED, "JSCC FC, as in the paper", ORANGE, "^"),
    Line("ae-paper", MATCHED, "JSCC AE, as in the paper", BLUE, "o"),
    Line("digital-finite", MATCHED, "digital, best code of the length", _YELLOW, "d", "--"),
    Line("digital-coded", MATCHED, "digital, polar code", _YELLOW, "X"),
    Line("pq-coded", MATCHED, "product quantisation, polar code", PURPLE, "P", ":"),
    Line(RAW, "", "feature of 16-bit floats, polar code", VERMILLION, "H", ":"),
)
"""Curves in as many uses as they were measured in."""
ANCHORS = (
    Line(QUANTISED, "", "product quantisation, 32 to 128 bits", PURPLE, "p"),
    Line(RAW, "", "feature of 16-bit floats", VERMILLION, "h"),
    Line("image-jpeg", "", "JPEG of lowest rate", _GREY, "<"),
    Line("image-webp", "", "WebP of lowest rate", _GREY, ">"),
    Line("image-avif", "", "AVIF of lowest rate", _GREY, "s"),
)
"""Messages in the uses that codes need for them."""
