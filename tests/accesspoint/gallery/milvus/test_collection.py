"""Collections on a Milvus Lite server against a plain dict of vectors."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from typer.testing import CliRunner

from accesspoint.cli import app
from accesspoint.errors import NotReadyError
from accesspoint.gallery.milvus.applied_table import Applied, AppliedTable
from accesspoint.gallery.milvus.client import (
    MilvusServer,
    MilvusSettings,
    read_token,
)
from accesspoint.gallery.milvus.collection import (
    BOUNDED,
    SETTLED_SECONDS,
    STRONG,
    Collection,
    Row,
    collection_name,
)
from airreid.errors import InputError
from airreid.signal import unit_rows

from .milvus_servers import LocalMilvus, free_port

DIM = 16
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(shared_server: LocalMilvus) -> Iterator[MilvusServer]:
    server = MilvusServer(MilvusSettings(uri=shared_server.uri))
    yield server
    server.close()


@pytest.fixture
def collection(server: MilvusServer) -> Collection:
    new = Collection(server, f"test_{next(_numbers)}", DIM)
    new.create()
    return new


def exact(
    vectors: dict[int, NDArray[np.float32]], query: NDArray[np.float32], k: int
) -> list[tuple[int, float]]:
    """(id, cosine) in double precision, best first, ties by id."""
    unit = query.astype(float) / max(np.linalg.norm(query.astype(float)), 1e-12)
    scored = [
        (i, float(v.astype(float) @ unit / max(np.linalg.norm(v.astype(float)), 1e-12)))
        for i, v in vectors.items()
    ]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:k]


def rows(ids: list[int]) -> list[Row]:
    return [Row(i, -i, f"person-{i % 5}", "c1") for i in ids]


def test_answers_as_exact_search_does_after_writes_and_deletes(collection: Collection) -> None:
    rng = np.random.default_rng(1)
    vectors = {i: rng.standard_normal(DIM).astype(np.float32) for i in range(1, 301)}
    collection.upsert(rows(list(vectors)), np.stack(list(vectors.values())))
    queries = rng.standard_normal((8, DIM)).astype(np.float32)
    for round_number in range(3):
        deleted = [i for i in vectors if i % 7 == round_number]
        collection.delete([*deleted, 999_999])
        for i in deleted:
            del vectors[i]
        assert collection.count() == len(vectors)
        for query, hits in zip(queries, collection.search(queries, 10), strict=True):
            expected = exact(vectors, query, 10)
            assert [h.id for h in hits] == [i for i, _ in expected]
            np.testing.assert_allclose([h.score for h in hits], [s for _, s in expected], atol=1e-6)
            assert [h.subject for h in hits] == [f"person-{i % 5}" for i, _ in expected]


def test_a_second_write_of_an_id_takes_the_place_of_the_first(collection: Collection) -> None:
    eye = np.eye(DIM, dtype=np.float32)
    collection.upsert(rows([1, 2, 3]), eye[:3])
    collection.upsert([Row(2, 5, "moved", "c9")], eye[7:8])
    assert collection.count() == 3
    [hits] = collection.search(eye[7:8], 1)
    assert (hits[0].id, hits[0].subject, hits[0].camera) == (2, "moved", "c9")
    stored = {r.id: r for page in collection.rows(2) for r in page}
    assert stored == {1: Row(1, -1, "person-1", "c1"), 2: Row(2, 5, "moved", "c9"), 3: rows([3])[0]}
    stored = collection.embeddings([2, 3, 99])
    assert set(stored) == {2, 3}
    np.testing.assert_array_equal(stored[2], eye[7])


@pytest.mark.parametrize("k", [1, 3, 7])
def test_ties_are_in_the_order_of_ids_even_where_the_list_is_cut(
    collection: Collection, k: int
) -> None:
    # Halves of four unit vectors: every score is a multiple of 1/4, exact in any order of sums.
    signs = np.asarray(list(itertools.product([-0.5, 0.5], repeat=4)), dtype=np.float32)
    vectors = np.zeros((48, DIM), dtype=np.float32)
    vectors[:, :4] = np.tile(signs, (3, 1))
    ids = np.random.default_rng(k).permutation(np.arange(1, 49)).tolist()
    collection.upsert(rows(ids), vectors)
    known = dict(zip(ids, vectors, strict=True))
    for query in (vectors[0], vectors[5], np.zeros(DIM, np.float32)):
        [hits] = collection.search(query[None], k)
        assert [(h.id, h.score) for h in hits] == exact(known, query, k)


def test_vectors_of_any_length_and_of_zeros(collection: Collection) -> None:
    vectors = np.zeros((3, DIM), np.float32)
    vectors[0, 0], vectors[1, 1] = 1e-3, 1e3
    collection.upsert(rows([1, 2, 3]), vectors)
    [hits] = collection.search(np.full((1, DIM), 5, np.float32), 3)
    assert [h.id for h in hits] == [1, 2, 3]
    np.testing.assert_allclose([h.score for h in hits], [0.25, 0.25, 0], atol=1e-6)


def test_a_search_is_strong_while_it_could_miss_a_change(
    server: MilvusServer, collection: Collection
) -> None:
    def settle(searched: Collection) -> None:
        searched._written_at -= SETTLED_SECONDS + 1

    assert collection.search_level == STRONG  # what another process changed before
    vectors = np.eye(DIM, dtype=np.float32)[:3]
    settle(collection)
    assert collection.search_level == BOUNDED
    collection.upsert(rows([1, 2, 3]), vectors)
    assert collection.search_level == STRONG
    assert [hits[0].id for hits in collection.search(vectors, 1)] == [1, 2, 3]
    settle(collection)
    for _ in range(100):  # soon, it is the same without waiting
        if [[hit.id for hit in hits] for hits in collection.search(vectors, 1)] == [[1], [2], [3]]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the rows are not found")
    collection.delete([2])
    assert collection.search_level == STRONG
    assert collection.search(vectors[1:2], 3)[0][0].id != 2
    reader = MilvusServer(server.settings.model_copy(update={"role": "reader"}))
    other = Collection(reader, collection.name, DIM)
    settle(other)
    assert other.search_level == STRONG
    reader.close()


def test_an_approximate_index_finds_most(shared_server: LocalMilvus) -> None:
    server = MilvusServer(MilvusSettings(uri=shared_server.uri, index="HNSW"))
    collection = Collection(server, "test_hnsw", DIM)
    collection.create()
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((1000, DIM)).astype(np.float32)
    collection.upsert(rows(list(range(1, 1001))), vectors)
    collection.flush()
    queries = rng.standard_normal((100, DIM)).astype(np.float32)
    best = np.argmax(unit_rows(queries) @ unit_rows(vectors).T, axis=1) + 1
    nearest = [hits[0].id for hits in collection.search(queries, 5)]
    assert np.mean(best == nearest) >= 0.98
    server.close()


def test_an_index_of_another_length_is_refused(server: MilvusServer) -> None:
    collection = Collection(server, f"test_{next(_numbers)}", DIM)
    collection.create()
    collection.check()
    with pytest.raises(InputError, match=r"16 values, the scheme makes 32"):
        Collection(server, collection.name, 32).check()
    with pytest.raises(InputError, match="needs 16 values"):
        collection.search(np.zeros((1, 32), np.float32), 1)
    with pytest.raises(InputError, match="needs 16 values"):
        collection.upsert(rows([1]), np.zeros((1, 8), np.float32))


def test_the_table_of_what_is_applied(server: MilvusServer) -> None:
    table = AppliedTable(server)
    assert table.all() == {}
    table.open()
    with pytest.raises(InputError, match="not a gallery's"):
        Collection(server, "airreid_applied", 2).check()
    first = Applied(
        store_id="s",
        scheme_id="jscc-ae-64",
        space_id="x",
        content="c",
        dim=64,
        position=0,
        writer="w",
    )
    table.write("a", first)
    table.write("a", first.model_copy(update={"position": 7}))
    table.write("b", first)
    table.open()
    assert table.all()["a"].position == 7
    table.remove("a")
    assert set(table.all()) == {"b"}


def test_names_are_legal_and_differ_by_content() -> None:
    names = {
        collection_name("airreid", scheme, space, content)
        for scheme in ("jscc-ae-64", "digital-256-r1")
        for space in ("a", "b")
        for content in ("1", "2")
    }
    assert len(names) == 8
    assert all(n.replace("_", "").isalnum() and len(n) < 255 for n in names)


def test_a_killed_server_has_lost_nothing_and_is_found_again(own_server: LocalMilvus) -> None:
    server = MilvusServer(MilvusSettings(uri=own_server.uri, timeout_s=own_server.timeout_s))
    collection = Collection(server, "test_kill", DIM)
    collection.create()
    eye = np.eye(DIM, dtype=np.float32)
    collection.upsert(rows([1, 2, 3]), eye[:3])
    collection.delete([2])
    own_server.kill()
    with pytest.raises(NotReadyError, match=own_server.uri):
        collection.search(eye[:1], 1)
    with pytest.raises(NotReadyError, match=own_server.uri):
        MilvusServer(MilvusSettings(uri=own_server.uri, timeout_s=1))
    own_server.start()
    for _ in range(100):
        try:
            [hits] = collection.search(eye[2:3], 3)
            break
        except NotReadyError:
            time.sleep(0.2)
    assert [h.id for h in hits] == [3, 1]
    server.close()


@pytest.mark.parametrize(
    "uri", ["milvus:19530", "ftp://h:1", "http://u:secret@h:1", "http://", "gallery"]
)
def test_an_address_that_cannot_be_one_is_refused(uri: str) -> None:
    with pytest.raises(ValidationError, match="uri"):
        MilvusSettings(uri=uri)


def test_tokens_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("root:Milvus\n")
    token = read_token(path)
    assert token.get_secret_value() == "root:Milvus"
    settings = MilvusSettings(uri=f"http://127.0.0.1:{free_port()}", token=token)
    assert "root" not in repr(settings) + settings.model_dump_json()
    path.write_text("two\nlines\n")
    with pytest.raises(InputError, match="one line"):
        read_token(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_token(tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "needs --milvus-uri"),
        (["--milvus-uri", "nowhere"], "--milvus-uri: .*http://HOST:PORT"),
        (["--milvus-uri", "http://h:1", "--milvus-prefix", "A-b"], "--milvus-prefix"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--index", "milvus", *options])
    assert isinstance(result.exception, InputError)
    assert re.search(f"(?i){says}", str(result.exception))


def test_options_that_are_none_of_a_choice_are_named() -> None:
    result = CliRunner().invoke(app, ["serve", "--index", "milvus", "--milvus-role", "owner"])
    assert result.exit_code == 2
    assert "--milvus-role" in result.output


def test_milvus_options_need_the_index() -> None:
    result = CliRunner().invoke(app, ["serve", "--milvus-uri", "http://h:1"])
    assert isinstance(result.exception, InputError)
    assert "needs --index milvus" in str(result.exception)
