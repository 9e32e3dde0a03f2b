"""The Merkle tree of RFC 6962 section 2.1 (same hashes as RFC 9162): root, inclusion and consistency proofs. Pure.

A leaf is hashed as SHA-256(0x00 ‖ data), a node as SHA-256(0x01 ‖ left ‖ right), so that no node passes for a leaf.
`Tree` keeps every complete subtree (64 bytes a leaf), so proofs cost O(log² n) hashes and a checkpoint O(log n).
"""

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """An append-only tree over leaf hashes. `size` leaves; any smaller size can be asked about too."""

    def __init__(self, leaf_hashes: Sequence[bytes] = ()) -> None:
        # _levels[k] holds the roots of complete subtrees of 2**k leaves, end to end.
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaf_hashes:
            self.append(leaf)

    @property
    def size(self) -> int:
        """Leaves so far."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add the hash of one leaf."""
        index, level, node = self.size, 0, leaf
        while True:
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node
            if not index & 1:
                return
            node = node_hash(self._complete(level, index - 1), node)
            index, level = index >> 1, level + 1

    def leaf(self, index: int) -> bytes:
        """Hash of one leaf."""
        return self._complete(0, index)

    def root(self, size: int | None = None) -> bytes:
        """Root of the first `size` leaves (all when None). Raises ValueError for more than there are."""
        size = self._checked(self.size if size is None else size)
        return self._root(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """PATH(index, D[size]) of RFC 6962 section 2.1.1."""
        if not 0 <= index < self._checked(size):
            raise ValueError(f"leaf {index} is not below {size}")
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            split = start + _split(end - start)
            if index < split:
                path.append(self._root(split, end))
                end = split
            else:
                path.append(self._root(start, split))
                start = split
        return path[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """PROOF(old, D[size]) of RFC 6962 section 2.1.2; empty for old = 0 or old = size."""
        if not 0 <= old <= self._checked(size):
            raise ValueError(f"no tree of {old} before one of {size}")
        proof: list[bytes] = []
        start, end, whole = 0, size, True
        while 0 < old < size and old != end:
            split = start + _split(end - start)
            if old <= split:
                proof.append(self._root(split, end))
                end = split
            else:
                proof.append(self._root(start, split))
                start, whole = split, False
        if not whole:
            proof.append(self._root(start, end))
        return proof[::-1]

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree has {self.size} leaves, not {size}")
        return size

    def _complete(self, level: int, index: int) -> bytes:
        return bytes(self._levels[level][index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def _root(self, start: int, end: int) -> bytes:
        """Root of leaves start…end-1, where start is a multiple of the subtree's power of two."""
        width = end - start
        if width & (width - 1) == 0:
            level = width.bit_length() - 1
            return self._complete(level, start >> level)
        split = start + _split(width)
        return node_hash(self._root(start, split), self._root(split, end))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        return False
    fn, sn, node = index, size - 1, leaf
    for step in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(step, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2. Nothing follows from a tree of no leaves: there is no proof from 0 to more."""
    if old == size:
        return not proof and old_root == root and (old > 0 or root == EMPTY_ROOT)
    if not 0 < old < size:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(step, first), node_hash(step, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == root


def _split(width: int) -> int:
    """The largest power of two smaller than `width`."""
    return 1 << (width - 1).bit_length() - 1
