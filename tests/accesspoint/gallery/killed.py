"""A process that enrols, deletes and searches until it is killed.

``python killed.py FOLDER SEED``: says what it found at its start, then what it is about
to do and what was acknowledged, a line each:

    found [numbers in the store] [numbers in the index]
    enrol TOKEN                   enrolled TOKEN NUMBER
    delete NUMBER                 deleted NUMBER
    wrong TEXT
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import numpy as np

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle, Manifest, default_bundle_path

DIM = 16


def vector(token: int) -> np.ndarray:
    return np.random.default_rng(token).standard_normal(DIM).astype(np.float32)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def opened(folder: Path) -> Gallery:
    text = (default_bundle_path() / "manifest.json").read_text()
    manifest = Manifest.model_validate_json(text)
    backbone = manifest.backbones[0].model_copy(update={"space_id": "one", "feature_dim": DIM})
    manifest = manifest.model_copy(update={"backbones": (backbone,)})
    settings = GallerySettings(index="sq8", segment_rows=64, snapshot_changes=10, purge_after_s=1)
    return Gallery(Store(folder / "gallery.sqlite"), Bundle(folder, manifest, "tiny"), 1, settings)


def look(gallery: Gallery) -> None:
    """Says what is there, and whether each entry is found by its own feature."""
    index = gallery.index("features")
    everything = list(gallery.store.all_features("one"))
    numbers = [number for part in everything for number in part.ids.tolist()]
    say(
        "found",
        json.dumps(numbers, separators=(",", ":")),
        json.dumps(sorted(index.held()[0].tolist()), separators=(",", ":")),
    )
    for part in everything:
        for number, result in zip(
            part.ids.tolist(), gallery.search("features", part.features, 1, 1), strict=True
        ):
            if result.entry_ids.tolist() != [number] or abs(result.scores[0] - 1) > 1e-2:
                say("wrong", number, "is not found by its own feature")


def work(gallery: Gallery, seed: int) -> None:
    mine: list[tuple[int, int]] = []
    rng = random.Random(seed)
    while True:
        if rng.random() < 0.6 or not mine:
            tokens = [rng.getrandbits(40) for _ in range(rng.choice([1, 1, 5]))]
            for token in tokens:
                say("enrol", token)
            entries = [NewEntry(f"p{t % 7}", "c", "one", vector(t)) for t in tokens]
            numbers = gallery.enrol(entries)
            for token, number in zip(tokens, numbers, strict=True):
                say("enrolled", token, number)
                mine.append((token, number))
        else:
            token, number = mine.pop(rng.randrange(len(mine)))
            say("delete", number)
            if gallery.delete_entries([number]) != [True]:
                say("wrong", number, "was gone before it was deleted")
            say("deleted", number)
            [result] = gallery.search("features", vector(token)[None], 1, 3)
            if number in result.entry_ids:
                say("wrong", number, "is found after it was deleted")
        if mine:
            token, number = rng.choice(mine)
            [result] = gallery.search("features", vector(token)[None], 1, 1)
            if result.entry_ids.tolist() != [number]:
                say("wrong", number, "is not found though it was enrolled")


def main() -> None:
    gallery = opened(Path(sys.argv[1]))
    gallery.wait_ready()
    look(gallery)
    for i in range(3):
        seed = int(sys.argv[2]) * 10 + i
        threading.Thread(target=work, args=(gallery, seed), daemon=True).start()
    time.sleep(60)


if __name__ == "__main__":
    main()
