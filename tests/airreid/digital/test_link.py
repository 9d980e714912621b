"""Block error rates of the whole coded link, and what comes out of garbage."""

import numpy as np
import pytest

from airreid.digital import modem, polar
from airreid.digital.bounds import normal_approximation_snr_db
from airreid.digital.link import CodedLink, Decoded
from airreid.digital.polar_design import design_code
from airreid.signal import awgn, noise_variance

ISSUE = pytest.mark.parametrize(
    ("bits", "uses", "m", "snr_db", "most"),
    [(128, 256, 1, 2.6, 0.012), (256, 256, 2, 7.6, 0.012), (60, 1024, 1, -8.0, 0.03)],
)
BATCH = 200


def blocks(
    link: CodedLink, snr_db: float, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, Decoded]:
    """Payloads, what was received of them, and what it was decoded to."""
    rng = np.random.default_rng(seed)
    payload = rng.integers(0, 2, (count, link.code.payload_bits), dtype=np.uint8)
    noise = rng.standard_normal((count, link.code.uses)).astype(np.float32)
    received = awgn(link.send(payload), noise, snr_db)
    return payload, received, link.receive(received, noise_variance(snr_db))


def errors(link: CodedLink, snr_db: float, count: int) -> tuple[int, int]:
    """Blocks that are lost or wrong, and those of them that passed the CRC."""
    wrong = undetected = 0
    for seed in range(count // BATCH):
        payload, _, decoded = blocks(link, snr_db, BATCH, seed)
        right = (decoded.payload == payload).all(axis=1) & decoded.passed
        wrong += int((~right).sum())
        undetected += int((~right & decoded.passed).sum())
    return wrong, undetected


@ISSUE
def test_block_error_rates(bits: int, uses: int, m: int, snr_db: float, most: float) -> None:
    wrong, _ = errors(CodedLink(design_code(bits, uses, 11, m)), snr_db, 1000)
    assert wrong <= most * 1000


@pytest.mark.slow
@ISSUE
def test_block_error_rates_of_many(
    bits: int, uses: int, m: int, snr_db: float, most: float
) -> None:
    wrong, _ = errors(CodedLink(design_code(bits, uses, 11, m)), snr_db, 6000)
    assert wrong <= most * 6000
    # No code is better than the best one: then the noise would be mislabelled.
    assert snr_db > normal_approximation_snr_db(bits, uses, wrong / 6000)


@pytest.mark.slow
@pytest.mark.parametrize(("crc_bits", "snr_db"), [(11, 0.75), (24, 1.35)])
def test_undetected_errors_are_as_rare_as_the_crc_makes_them(crc_bits: int, snr_db: float) -> None:
    """Each of 8 paths passes with 2^-r; twice that is allowed for luck."""
    wrong, undetected = errors(CodedLink(design_code(128, 256, crc_bits, 1)), snr_db, 20_000)
    assert 0.3 < wrong / 20_000 < 0.7
    assert undetected <= 2 * 8 * 2.0**-crc_bits * wrong


def test_a_longer_list_loses_fewer_blocks() -> None:
    code = design_code(128, 256, 11, 1)
    lost = [errors(CodedLink(code, list_size=size), 2.1, 600)[0] for size in (1, 2, 8)]
    assert lost[0] > lost[1] > lost[2]


@pytest.mark.parametrize(("bits", "m"), [(60, 1), (100, 2), (150, 3), (180, 4)])
@pytest.mark.parametrize("value", [0.0, 1e6, -1e6, 1e-30])
@pytest.mark.parametrize("variance", [1e-10, 1.0, 1e6])
def test_extreme_blocks_are_decided_without_a_warning(
    bits: int, m: int, value: float, variance: float
) -> None:
    """Warnings are errors here: no NaN, no overflow."""
    link = CodedLink(design_code(bits, 100, 11, m))
    decoded = link.receive(np.full((3, 100), value), variance)
    assert decoded.payload.shape == (3, bits)
    assert set(np.unique(decoded.payload)) <= {0, 1}
    rng = np.random.default_rng(0)
    sent = link.send(rng.integers(0, 2, (3, bits), dtype=np.uint8)).astype(float)
    sent[:, 3] = value
    link.receive(sent, variance)


@pytest.mark.parametrize(("bits", "m"), [(60, 1), (150, 2)])
def test_a_block_of_any_strength_is_decided(bits: int, m: int) -> None:
    """Noiseless symbols at the best SNR that a link may have."""
    link = CodedLink(design_code(bits, 128, 11, m))
    payload, _, decoded = blocks(link, 100.0, 50)
    assert decoded.passed.all()
    np.testing.assert_array_equal(decoded.payload, payload)


def test_noise_alone_hardly_ever_passes() -> None:
    """About 4000 * 8 / 2048 = 16 of 4000 blocks of noise pass; with 24 check bits none."""
    noise = np.random.default_rng(3).standard_normal((4000, 64))
    short = CodedLink(design_code(20, 64, 11, 1)).receive(noise, 0.5)
    assert 2 <= short.passed.sum() <= 32
    long = CodedLink(design_code(20, 64, 24, 1)).receive(noise, 0.5)
    assert not long.passed.any()


def test_zeros_pass_under_no_seed_but_that_of_zeros() -> None:
    """An all-zero message has an all-zero check only if the register starts at 0."""
    code = design_code(20, 64, 11, 1)
    silent = np.full((1, 64), 1.0)
    assert CodedLink(code).receive(silent, 0.1).passed.all()
    assert not CodedLink(code, b"seed", list_size=1).receive(silent, 0.1).passed.any()


@pytest.mark.parametrize("crc_bits", [11, 24])
def test_a_foreign_seed_is_an_outage(crc_bits: int) -> None:
    code = design_code(60, 128, crc_bits, 1)
    sender, receiver = CodedLink(code, b"this"), CodedLink(code, b"that", list_size=1)
    payload = np.random.default_rng(1).integers(0, 2, (200, 60), dtype=np.uint8)
    assert not receiver.receive(sender.send(payload), 0.1).passed.any()


def test_blocks_are_decided_one_by_one_as_together() -> None:
    link = CodedLink(design_code(60, 128, 11, 1))
    payload, received, together = blocks(link, 0.0, 30)
    assert 0 < together.passed.sum() < 30 or (together.payload != payload).any()
    variances = np.full(30, float(noise_variance(0.0)))
    for row in range(30):
        single = link.receive(received[row : row + 1], variances[row : row + 1])
        assert single.passed[0] == together.passed[row]
        np.testing.assert_array_equal(single.payload[0], together.payload[row])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "uses", "m", "snr_db"),
    [(128, 256, 1, 2.0), (256, 256, 2, 7.0), (60, 1024, 1, -8.5)],
)
def test_sionna_loses_the_same_blocks(bits: int, uses: int, m: int, snr_db: float) -> None:
    """The same noise for both decoders: 0.1 dB is about a quarter of the blocks lost."""
    fec = pytest.importorskip("sionna.phy.fec.polar")
    torch = pytest.importorskip("torch")
    code = design_code(bits, uses, 11, m)
    frozen = np.flatnonzero(~code.mask)
    theirs = fec.PolarSCLDecoder(frozen, len(code.mask), list_size=8, crc_degree="CRC11")
    encoder = fec.PolarEncoder(frozen, len(code.mask))
    link = CodedLink(code)
    lost = [0, 0]
    for seed in range(10):
        payload, received, decoded = blocks(link, snr_db, BATCH, seed)
        message = link._crc.append(payload)
        word = encoder(torch.tensor(message, dtype=torch.float32)).numpy()
        np.testing.assert_array_equal(polar.encode(message, code.mask), word)
        soft = polar.unmatch(modem.llrs(received, noise_variance(snr_db), m), code)
        decided = theirs(torch.tensor(-soft, dtype=torch.float32)).numpy()
        lost[0] += int((decoded.payload != payload).any(axis=1).sum())
        lost[1] += int((decided[:, :bits] != payload).any(axis=1).sum())
    assert lost[1] >= 20
    assert 0.8 * lost[1] < lost[0] < 1.25 * lost[1]
