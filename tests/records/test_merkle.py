"""The tree against the published vectors of Certificate Transparency and against the definition in RFC 6962."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.records.merkle import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# Leaves, roots and proofs of the reference implementation's tests (google/certificate-transparency).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
TREE = Tree([leaf_hash(leaf) for leaf in LEAVES])


def test_roots_of_one_to_eight_leaves_are_the_published_ones():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [TREE.root(size).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index, size):
    path = TREE.inclusion(index, size)
    assert [step.hex() for step in path] == INCLUSION[index, size]
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, path, TREE.root(size))


@pytest.mark.parametrize(("old", "size"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old, size):
    proof = TREE.consistency(old, size)
    assert [step.hex() for step in proof] == CONSISTENCY[old, size]
    assert verify_consistency(old, TREE.root(old), size, TREE.root(size), proof)


def naive_root(leaves):
    """MTH(D[n]) as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(m, leaves):
    """PATH(m, D[n]) as RFC 6962 section 2.1.1 writes it."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m, leaves, whole=True):
    """SUBPROOF(m, D[n], b) as RFC 6962 section 2.1.2 writes it."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@st.composite
def trees(draw):
    count = draw(st.integers(1, 130))
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(count)]
    size = draw(st.integers(1, count))
    return leaves, size, draw(st.integers(1, size)), draw(st.integers(0, size - 1))


@settings(max_examples=300, deadline=None)
@given(trees())
def test_roots_and_proofs_are_what_the_definition_gives_and_verify(case):
    leaves, size, old, index = case
    tree = Tree(leaves)
    assert tree.root(size) == naive_root(leaves[:size])
    path, proof = tree.inclusion(index, size), tree.consistency(old, size)
    assert path == naive_path(index, leaves[:size])
    assert proof == naive_proof(old, leaves[:size])
    assert verify_inclusion(leaves[index], index, size, path, tree.root(size))
    assert verify_consistency(old, tree.root(old), size, tree.root(size), proof)


@settings(max_examples=300, deadline=None)
@given(trees(), st.data())
def test_a_proof_with_anything_changed_does_not_verify(case, data):
    leaves, size, old, index = case
    tree = Tree(leaves)
    root, path, proof = tree.root(size), tree.inclusion(index, size), tree.consistency(old, size)
    other = leaf_hash(b"another")
    assert not verify_inclusion(other, index, size, path, root)
    assert not verify_inclusion(leaves[index], index, size, path, other)
    assert not verify_inclusion(leaves[index], index, size, [*path, other], root)
    assert not verify_inclusion(leaves[index], size, size, path, root)
    assert not verify_consistency(old, other, size, root, proof)
    assert not verify_consistency(old, tree.root(old), size, other, proof)
    assert not verify_consistency(old, tree.root(old), size, root, [*proof, other])
    for good, check in (
        (path, lambda bad: verify_inclusion(leaves[index], index, size, bad, root)),
        (proof, lambda bad: verify_consistency(old, tree.root(old), size, root, bad)),
    ):
        if good:
            assert not check(good[:-1])
            at = data.draw(st.integers(0, len(good) - 1))
            assert not check([*good[:at], other, *good[at + 1 :]])


def test_sizes_that_do_not_exist_are_refused():
    for wrong in (lambda: TREE.root(9), lambda: TREE.inclusion(8, 8), lambda: TREE.consistency(9, 8)):
        with pytest.raises(ValueError):
            wrong()
    assert not verify_consistency(9, ROOTS[0], 8, ROOTS[7], [])
    assert not verify_consistency(0, EMPTY_ROOT, 8, TREE.root(8), [])
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert not verify_inclusion(b"", 0, 1, [], b"")
