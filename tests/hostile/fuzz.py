"""Fuzzing of one target, in a process of its own: ``python -m tests.hostile.fuzz TARGET CASES``.

Guided by coverage with atheris where that is installed, else by mutations of the seeds. An input
that fails is written to ``build/fuzz``; put it into ``tests/hostile/seeds/TARGET`` with its mend.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from pathlib import Path

SEEDS = Path(__file__).with_name("seeds")
FINDS = Path("build/fuzz")
CASE_SECONDS = 20
"""Time of one case, at most."""
MEMORY_MIB = 2048


def guided(name: str, cases: int, seed: int, corpus: Path) -> None:
    """Fuzzes with atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["airreid", "edge", "accesspoint", "PIL"]):
        from .fuzz_targets import prepared
    target, run, _folder = prepared(name)
    write_seeds(target.seeds(), corpus)
    arguments = [
        f"-runs={cases}",
        f"-seed={seed}",
        f"-max_len={target.max_bytes}",
        f"-timeout={CASE_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={FINDS}/{name}-",
        "-print_final_stats=1",
    ]
    earlier = [str(SEEDS / name)] if (SEEDS / name).is_dir() else []
    atheris.Setup([sys.argv[0], *arguments, str(corpus), *earlier], run)
    atheris.Fuzz()


def unguided(name: str, cases: int, seed: int) -> None:
    """Fuzzes with random mutations of the seeds."""
    from .fuzz_targets import prepared

    target, run, folder = prepared(name)
    rng = random.Random(seed)
    seeds = list(target.seeds())
    started = time.monotonic()
    with folder:
        for _ in range(cases):
            data = mutated(rng.choice(seeds), rng)
            try:
                run(data)
            except BaseException:
                (FINDS / f"{name}-case").write_bytes(data)
                raise
    print(f"Done {cases} runs in {time.monotonic() - started:.0f} second(s)")  # noqa: T201


def mutated(data: bytes, rng: random.Random, most: int = 6) -> bytes:
    """Changes bits, cuts parts out, doubles them, or makes some up: ``most`` times at most."""
    out = bytearray(data)
    for _ in range(rng.randint(1, most)):
        position, size = rng.randrange(len(out) + 1), rng.randint(1, 24)
        match rng.randrange(4):
            case 0 if out:
                out[position % len(out)] ^= 1 << rng.randrange(8)
            case 1:
                del out[position : position + size]
            case 2:
                out[position:position] = rng.randbytes(size)
            case 3:
                out[position:position] = out[position : position + size]
    return bytes(out)


def write_seeds(seeds: list[bytes] | tuple[bytes, ...], folder: Path) -> None:
    """Writes the inputs to begin with."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds):
        (folder / f"seed-{number:02}").write_bytes(data)


def main() -> None:
    name, cases, seed, corpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    FINDS.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is None:
        unguided(name, cases, seed)
    else:
        guided(name, cases, seed, corpus)


if __name__ == "__main__":
    main()
