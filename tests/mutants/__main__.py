"""Puts small faults into the core packages, one at a time, and sees which the tests notice.

    make mutants                                # 200 of them, by the seed 0
    make mutants ARGS="--count 50 --seed 3"
    make mutants ARGS="--only edge --again"     # those of edge that were not seen, again

A *site* is a place where a fault can be put: an operator, a comparison, a number, a
condition, a decorator, a loop, an ``except``. Sites are drawn with equal chances, then one
fault of each. cosmic-ray knows the faults and rewrites the source; a copy of the working
tree for each worker keeps the tree itself untouched. A fault is *seen* when a test fails,
or when the tests do not end in time. What has been found out is kept in
``build/mutants/`` and not done twice: an interrupted run goes on, and a test that was added
is tried on the unseen ones with ``--again``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from running import Runner, Verdict
from sites import PACKAGES, ROOT, Mutant, mutated, sample

RESULTS = ROOT / "build" / "mutants"


def known() -> dict[str, Verdict]:
    path = RESULTS / "verdicts.jsonl"
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["key"]: Verdict(**row) for row in rows}


def report(mutants: list[Mutant], verdicts: dict[str, Verdict]) -> None:
    """A table by package, and the unseen with their places in ``unseen.md``."""
    unseen = []
    print(f"\n{'package':18}{'faults':>8}{'seen':>8}{'unseen':>8}{'share':>9}")
    total = [0, 0]
    for package in PACKAGES:
        judged = [m for m in mutants if m.package == package.name and m.key in verdicts]
        detected = [m for m in judged if verdicts[m.key].seen]
        unseen += [m for m in judged if not verdicts[m.key].seen]
        total = [total[0] + len(judged), total[1] + len(detected)]
        _print_row(package.name, len(judged), len(detected))
    _print_row("all", *total)
    lines = ["# Faults that no test has seen", ""]
    for mutant in sorted(unseen, key=lambda m: (m.module, m.line)):
        lines += [f"{mutant.module}:{mutant.line}  {mutant.operator.partition('/')[2]}", ""]
        lines += ["    " + line for line in verdicts[mutant.key].diff] + [""]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "unseen.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"\n{len(unseen)} unseen: {(RESULTS / 'unseen.md').relative_to(ROOT)}")


def _print_row(name: str, count: int, detected: int) -> None:
    share = f"{detected / count:9.1%}" if count else f"{'-':>9}"
    print(f"{name:18}{count:8}{detected:8}{count - detected:8}{share}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="faults (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--workers", type=int, default=2, help="at once (2)")
    parser.add_argument(
        "--limit",
        type=float,
        help="seconds of a run of tests; measured without a fault first if left out",
    )
    parser.add_argument("--only", help="package or module path that a fault must be in")
    parser.add_argument("--again", action="store_true", help="try the unseen ones again")
    options = parser.parse_args()
    mutants = [
        mutant
        for mutant in sample(options.count, options.seed)
        if options.only in (None, mutant.package, mutant.module)
        and mutated(mutant, (ROOT / mutant.module).read_text(encoding="utf-8"))
    ]
    verdicts = known()
    todo = [
        mutant
        for mutant in mutants
        if mutant.key not in verdicts or (options.again and not verdicts[mutant.key].seen)
    ]
    print(f"{len(mutants)} faults, {len(todo)} of them to be tried")
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        (RESULTS / "verdicts.jsonl").open("a", encoding="utf-8") as log,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        if todo:
            runner = Runner(Path(folder), options.workers)
            runner.limits = {p.name: options.limit for p in PACKAGES if options.limit}
            needed = (
                []
                if options.limit
                else [p for p in PACKAGES if any(m.package == p.name for m in todo)]
            )
            for package, seconds in zip(needed, pool.map(runner.baseline, needed), strict=True):
                print(f"{package.name}: {seconds:.0f} s of tests", flush=True)
            futures = {pool.submit(runner.judge, mutant): mutant for mutant in todo}
            for number, future in enumerate(as_completed(futures), 1):
                mutant, verdict = futures[future], future.result()
                verdicts[mutant.key] = verdict
                log.write(json.dumps(verdict.__dict__) + "\n")
                log.flush()
                word = "seen  " if verdict.seen else "UNSEEN"
                place = f"{mutant.module}:{mutant.line}"
                print(
                    f"{number:4}/{len(todo)} {word} {verdict.seconds:6.1f} s  {place}  "
                    f"{verdict.reason}",
                    flush=True,
                )
    report(mutants, verdicts)


if __name__ == "__main__":
    main()
