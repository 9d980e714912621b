"""Comparisons that a study judges: the paper's claims, and what explains them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from airreid.evaluation.study.table import FIXED, GIVEN, JOINT, MATCHED, NOISELESS, RANGE

Verdict = Literal["holds", "does not", "undecided"]
MARGIN = 0.02
"""Top-1 by which two schemes may differ and still count as equally good."""
Side = tuple[str, str]
"""Scheme and training."""


def more(low: float, high: float) -> Verdict:
    """Judges that a difference is above zero."""
    return "holds" if low > 0 else "does not" if high < 0 else "undecided"


def no_less(low: float, high: float) -> Verdict:
    """Judges that a difference is above minus :data:`MARGIN`."""
    return "holds" if low > -MARGIN else "does not" if high < -MARGIN else "undecided"


def alike(low: float, high: float) -> Verdict:
    """Judges that a difference lies within :data:`MARGIN` of zero."""
    if low > -MARGIN and high < MARGIN:
        return "holds"
    return "does not" if low > MARGIN or high < -MARGIN else "undecided"


@dataclass(frozen=True)
class Comparison:
    """A claim to be judged at several SNRs."""

    number: str
    """A number for the paper's claims, a letter for what explains them, T for study B."""
    text: str
    first: Side
    second: Side
    judge: Callable[[float, float], Verdict] = more
    bandwidths: tuple[int, ...] = (256,)
    second_bandwidth: int | None = None
    """Bandwidth of the second side; that of the first if left out."""
    snrs_db: tuple[float, ...] | None = None
    """None: all that were measured."""

    def cells(self, bandwidth: int) -> tuple[str, ...]:
        """Returns the cells that it is judged by; ``digital-*`` are all digital schemes."""
        second = self.second_bandwidth or bandwidth
        both = [_cell(self.first[0], bandwidth), _cell(self.second[0], second)]
        if self.first[0].startswith(JOINT) and self.second == PCA:
            both[1] = "closed"  # of every bandwidth, where networks are trained
        return tuple(dict.fromkeys(both))


def _cell(scheme: str, bandwidth: int) -> str:
    if scheme in (NOISELESS, "nested"):
        return scheme
    if scheme.startswith(GIVEN):
        return GIVEN
    if scheme.startswith(JOINT):
        name = scheme.removesuffix("-pca")
        return name if name == f"{JOINT}baseline" else f"{name}-{bandwidth}"
    if scheme in ("digital-ideal", "digital-finite", "digital-paper"):
        return "digital-*"
    return f"{_CELLS.get(scheme, scheme)}-{bandwidth}"


_CELLS = {
    "pca": "closed",
    "discriminant": "closed",
    "ae-l1": "ae-paper",
    "digital-coded": "coded",
    "pq-coded": "coded-pq",
}
"""Beginnings of the names of cells that are not those of the scheme."""

BOUND: Side = (NOISELESS, "")
AE: Side = ("ae-paper", MATCHED)
FC: Side = ("fc-paper", MATCHED)
AE_L1: Side = ("ae-l1", MATCHED)
AE_SEARCH: Side = ("ae-retrieval", MATCHED)
AE_LINEAR: Side = ("ae-linear", MATCHED)
FC_SEARCH: Side = ("fc-retrieval", MATCHED)
PCA: Side = ("pca", "")
DISCRIMINANT: Side = ("discriminant", "")
IDEAL: Side = ("digital-ideal", MATCHED)
CODED: Side = ("digital-coded", MATCHED)
QUANTISED: Side = ("pq-coded", MATCHED)
CODE: Side = (f"{GIVEN}-jscc-fc", "")
"""Linear code that came with the network."""
CODE_AE: Side = (f"{GIVEN}-jscc-ae", "")
CODE_DIGITAL: Side = (f"{GIVEN}-digital", "")
CODE_DIGITAL_IDEAL: Side = (f"{GIVEN}-digital-ideal", "")
BOTH = (64, 256)

PAPERS = (
    Comparison("1", "JSCC AE finds more than JSCC FC", AE, FC, bandwidths=BOTH),
    Comparison("2a", "JSCC AE finds more than digital over a polar code", AE, CODED),
    Comparison("2b", "JSCC AE finds more than digital at capacity", AE, IDEAL),
    Comparison("2c", "JSCC FC finds more than digital over a polar code", FC, CODED),
    Comparison("2d", "JSCC FC finds more than digital at capacity", FC, IDEAL),
    Comparison(
        "3a",
        "JSCC AE reaches the bound without a channel (to 2 points)",
        AE,
        BOUND,
        no_less,
        (64, 256, 1024),
        snrs_db=(10.0, 20.0),
    ),
    Comparison(
        "3b",
        "JSCC FC reaches the bound without a channel (to 2 points)",
        FC,
        BOUND,
        no_less,
        BOTH,
        snrs_db=(10.0, 20.0),
    ),
    Comparison(
        "4a",
        "JSCC AE trained at 0 dB outlives digital with the rate for 0 dB",
        ("ae-paper", "0"),
        ("digital-coded", FIXED),
        snrs_db=(-10.0, -6.0, -3.0),
    ),
    Comparison(
        "4b",
        "JSCC FC trained at 0 dB outlives digital with the rate for 0 dB",
        ("fc-paper", "0"),
        ("digital-coded", FIXED),
        snrs_db=(-10.0, -6.0, -3.0),
    ),
    Comparison(
        "5a",
        "JSCC AE trained at 0 dB is as good as one trained for the SNR (to 2 points)",
        ("ae-paper", "0"),
        AE,
        no_less,
    ),
    Comparison(
        "5b",
        "JSCC FC trained at 0 dB is as good as one trained for the SNR (to 2 points)",
        ("fc-paper", "0"),
        FC,
        no_less,
    ),
    Comparison(
        "6",
        "JSCC AE with 256 uses is as good as with 1024 (to 2 points)",
        AE,
        AE,
        no_less,
        second_bandwidth=1024,
    ),
    Comparison("7", "Cross-entropy after L1 helps, AE", AE, AE_L1, bandwidths=BOTH),
)
"""The paper's claims."""
ABLATIONS = (
    Comparison(
        "A", "The retrieval loss beats L1 and cross-entropy, AE", AE_SEARCH, AE, bandwidths=BOTH
    ),
    Comparison("B", "The retrieval loss beats cross-entropy, FC", FC_SEARCH, FC, bandwidths=BOTH),
    Comparison("C", "The paper's AE finds more than PCA", AE, PCA, bandwidths=BOTH),
    Comparison("D", "The paper's FC finds more than PCA", FC, PCA, bandwidths=BOTH),
    Comparison("E", "The discriminant finds more than PCA", DISCRIMINANT, PCA, bandwidths=BOTH),
    Comparison(
        "F",
        "A line trained through noise beats the discriminant",
        FC_SEARCH,
        DISCRIMINANT,
        bandwidths=BOTH,
    ),
    Comparison(
        "G",
        "A decoder that bends pays, retrieval loss",
        AE_SEARCH,
        FC_SEARCH,
        bandwidths=BOTH,
    ),
    Comparison("H", "A linear decoder pays, retrieval loss", AE_LINEAR, FC_SEARCH, bandwidths=BOTH),
    Comparison("I", "L1 alone beats PCA, AE", AE_L1, PCA, bandwidths=BOTH),
    Comparison(
        "J",
        "One nested code is as good as one for each B (to 2 points)",
        ("nested", RANGE),
        ("fc-retrieval", RANGE),
        alike,
        BOTH,
        snrs_db=(-10.0, 0.0, 10.0),
    ),
    Comparison(
        "K",
        "A range of SNRs is as good as the SNR that is tested at (to 2 points), FC",
        ("fc-retrieval", RANGE),
        FC_SEARCH,
        no_less,
    ),
    Comparison(
        "L",
        "FC by retrieval loss at 0 dB is as good as one trained for the SNR (to 2 points)",
        ("fc-retrieval", "0"),
        FC_SEARCH,
        no_less,
    ),
    Comparison("M", "Digital over a polar code passes the paper's FC", CODED, FC),
    Comparison(
        "N", "Digital over a polar code passes the FC with retrieval loss", CODED, FC_SEARCH
    ),
    Comparison("O", "Digital finds more than product quantisation, polar code", CODED, QUANTISED),
    Comparison(
        "P",
        "The discriminant with 256 uses is as good as with 1024 (to 2 points)",
        DISCRIMINANT,
        DISCRIMINANT,
        no_less,
        second_bandwidth=1024,
    ),
    Comparison(
        "Q",
        "The linear code that came with the network finds more than PCA",
        CODE,
        PCA,
        bandwidths=BOTH,
    ),
    Comparison(
        "R",
        "The linear code that came with the network finds more than the discriminant",
        CODE,
        DISCRIMINANT,
        bandwidths=BOTH,
    ),
    Comparison("S", "Of codes that came with the network, a decoder pays", CODE_AE, CODE),
    Comparison(
        "U", "JSCC finds more than digital over a polar code, as they came", CODE, CODE_DIGITAL
    ),
    Comparison(
        "V", "JSCC finds more than digital at capacity, as they came", CODE, CODE_DIGITAL_IDEAL
    ),
)
"""Comparisons that explain the claims, or stand beside them."""
JOINT_AE: Side = (f"{JOINT}ae-paper", "0")
JOINT_FC: Side = (f"{JOINT}fc-paper", "0")
JOINT_DIGITAL: Side = (f"{JOINT}digital-paper", "")
BASELINE_PCA: Side = (f"{JOINT}baseline-pca", "")
JOINT_AE_SEARCH: Side = (f"{JOINT}ae-retrieval", RANGE)
JOINT_FC_SEARCH: Side = (f"{JOINT}fc-retrieval", RANGE)


def _pca_of(side: Side) -> Side:
    """Returns PCA of the network that was trained with a code."""
    return f"{side[0]}-pca", ""


TOGETHER = (
    Comparison("T1", "JSCC AE finds more than JSCC FC", JOINT_AE, JOINT_FC, bandwidths=BOTH),
    Comparison(
        "T2a",
        "JSCC AE finds more than digital over a polar code",
        JOINT_AE,
        JOINT_DIGITAL,
        bandwidths=BOTH,
    ),
    Comparison(
        "T2b",
        "JSCC FC finds more than digital over a polar code",
        JOINT_FC,
        JOINT_DIGITAL,
        bandwidths=BOTH,
    ),
    Comparison(
        "T3",
        "AE trained at 0 dB is as good as one trained from -10 to 10 dB (to 2 points)",
        JOINT_AE,
        (f"{JOINT}ae-range", RANGE),
        no_less,
        bandwidths=BOTH,
    ),
    Comparison(
        "T4a",
        "The paper's AE finds more than PCA of its network",
        JOINT_AE,
        _pca_of(JOINT_AE),
        bandwidths=BOTH,
    ),
    Comparison(
        "T4b",
        "The paper's FC finds more than PCA of its network",
        JOINT_FC,
        _pca_of(JOINT_FC),
        bandwidths=BOTH,
    ),
    Comparison(
        "T4c",
        "FC by retrieval loss finds more than PCA of its network",
        JOINT_FC_SEARCH,
        _pca_of(JOINT_FC_SEARCH),
        bandwidths=BOTH,
    ),
    Comparison(
        "T5a",
        "The retrieval loss beats the paper's recipe, AE",
        JOINT_AE_SEARCH,
        JOINT_AE,
        bandwidths=BOTH,
    ),
    Comparison(
        "T5b",
        "The retrieval loss beats the paper's recipe, FC",
        JOINT_FC_SEARCH,
        JOINT_FC,
        bandwidths=BOTH,
    ),
    Comparison(
        "T6",
        "PCA of the network trained without a channel finds more than PCA of it as given",
        BASELINE_PCA,
        PCA,
        bandwidths=BOTH,
    ),
    Comparison(
        "T7a",
        "The paper's AE finds more than PCA of the network trained without a channel",
        JOINT_AE,
        BASELINE_PCA,
        bandwidths=BOTH,
    ),
    Comparison(
        "T7b",
        "The paper's FC finds more than PCA of the network trained without a channel",
        JOINT_FC,
        BASELINE_PCA,
        bandwidths=BOTH,
    ),
)
"""The paper's claims of networks that are trained together with their codes: study B."""
COMPARISONS = (*PAPERS, *ABLATIONS, *TOGETHER)
