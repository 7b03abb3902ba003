"""Files of graphs that are read: edge lists, GraphML, GML and arrays. Not for writing (`writing`), nor for what is learnt.

What is read is a list of pairs of names; `simple` makes of it the one graph that is learnt, and tells what it left out.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtra
from ...store.cells import MARKS, Sheet, index_column, is_missing, number, read_cells, read_sheet, told
from ...store.listing import natural

COLUMNS = (".parquet", ".jsonl")
LISTS = (".edges", ".edgelist", ".txt", ".csv", ".tsv", *COLUMNS)
PICKLES = (".gpickle", ".pickle", ".pkl")
LEAST_EDGES = 10
HEADERS = {"source", "target", "from", "to", "src", "dst", "node1", "node2", "node_1", "node_2", "u", "v", "id1", "id2"}
LARGEST_PART = 4 << 30  # bytes of an array within an .npz


@dataclass
class Links:
    """Pairs of nodes as a file has them: indices (E, 2) int64 into `names`; they may repeat, point and go in circles."""

    names: list[str]
    pairs: np.ndarray
    notes: list[str] = field(default_factory=list)
    directed: bool = False


@dataclass
class Simple:
    """One connected graph: edges (E, 2) int32, first < second, sorted. names: of its nodes, empty where they are numbers."""

    names: tuple[str, ...]
    nodes: int
    edges: np.ndarray
    notes: list[str]


def read_links(path: Path) -> Links:
    """The graph of one file. Raises DataError in one line, MissingExtra where networkx is not installed."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise DataError(
            f"{path}: a pickle runs code when it is opened and is not read: write GraphML where it was made, as in  "
            "networkx.write_graphml(graph, 'graph.graphml')"
        )
    try:
        size = path.stat().st_size
        if not size:
            raise DataError(f"{path}: the file is empty")
        if suffix in LISTS:
            return _from_list(path)
        if suffix in (".npz", ".npy"):
            return _from_arrays(path)
        return _from_networkx(path, suffix)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


# Edge lists


def _from_list(path: Path) -> Links:
    """The graph of an edge list; how tables are read: `store.cells`. Parquet and JSON lines name their columns."""
    if path.suffix.lower() in COLUMNS:
        cells = read_cells(path, decimals=False)
        rows, lines, notes = [list(row) for row in zip(*cells.columns, strict=True)], cells.lines, cells.told()
        unit = cells.unit
    else:
        sheet = read_sheet(path, ragged=True, braces=True)
        notes = _rows_alone(sheet)
        rows, lines, unit = sheet.rows, sheet.lines, "line"
    if not rows:
        raise DataError(f"{path}: no edges: write two nodes a line, as in  alice bob")
    weighted = 0
    called = [cell for row in rows for cell in row[:2]]
    names = sorted(set(called), key=natural)
    if any(len(row) != 2 for row in rows) or any(is_missing(name) for name in names):
        weighted = _weights(path, rows, lines, unit)
    if weighted:
        notes.append(f"weights are not learnt: {weighted} of {len(rows)} edges have one")
    index = {name: place for place, name in enumerate(names)}
    pairs = np.fromiter(map(index.__getitem__, called), np.int64, len(called))
    return Links(names, pairs.reshape(-1, 2), notes)


def _weights(path: Path, rows: list[list[str]], lines: Sequence[int], unit: str) -> int:
    """How many edges have a weight. Raises DataError for a row that is not two nodes and perhaps a weight."""
    weighted = 0
    for place, row in zip(lines, rows, strict=True):
        if len(row) < 2 or is_missing(row[0]) or is_missing(row[1]):
            gone = next((cell for cell in row[:2] if cell and is_missing(cell)), "")
            why = f" ('{gone}' means a missing value: call the node otherwise)" if gone else ""
            raise DataError(
                f"{path}: {unit} {place} does not name two nodes{why}: write two names a line, and perhaps a weight"
            )
        if len(row) > 2:
            rest = row[2]
            if len(row) > 3 or not (rest.startswith("{") or is_missing(rest) or _weight(rest)):
                raise DataError(
                    f"{path}: {unit} {place} has more than two nodes and a weight ({len(row)} columns): leave only the two "
                    "columns of the nodes"
                )
            weighted += rest != "{}" and not is_missing(rest)
    return weighted


def _rows_alone(sheet: Sheet) -> list[str]:
    """Leave only rows of edges: no header, row numbers, empty cells at the end; what else begins with a mark of comments and
    names two nodes is an edge. What was left out, for the user."""
    notes: list[str] = []
    if not sheet.rows:
        return told(sheet.counts)
    if any(len(row) > 2 and not row[-1] for row in sheet.rows):
        ended = [row[:-1] if len(row) > 2 and not row[-1] else row for row in sheet.rows]
        sheet.count(
            "lines end in a separator, behind which no column was taken",
            sum(a is not b for a, b in zip(sheet.rows, ended, strict=True)),
        )
        sheet.rows = ended
    marked = [row[0].startswith(MARKS) for row in sheet.rows]
    if any(marked):
        keep = [not own or not _is_remark(row) for own, row in zip(marked, sheet.rows, strict=True)]
        sheet.count("comment lines left out", len(keep) - sum(keep))
        sheet.kept(keep)
        if kept := sum(row[0].startswith(MARKS) for row in sheet.rows):
            notes.append(
                f"{kept} lines begin with a mark of comments and name two nodes: they are edges (a comment has a blank there)"
            )
    rows = sheet.rows
    if rows and index_column(rows[0], [row[0] for row in rows[1:]], counting=True) and len(rows[0]) > 2:
        notes.append(f"the first column ({rows[0][0] or 'without a name'}) holds row numbers and is left out")
        sheet.rows = rows = [row[1:] for row in rows]
    if _is_header(rows):
        notes.append(f"the first line ({', '.join(rows[0])}) is taken as a header")
        sheet.rows, sheet.lines = rows[1:], sheet.lines[1:]
    return [*notes, *told(sheet.counts)]


def _is_remark(row: list[str]) -> bool:
    """Whether a row that begins with a mark of comments is one: a header, or not two nodes and a weight."""
    heads = {cell.lower().lstrip("#%/") for cell in row[:2]}
    return not 2 <= len(row) <= 3 or heads <= HEADERS


def _is_header(rows: list[list[str]]) -> bool:
    first = [cell.lower() for cell in rows[0][:2]] if rows else []
    if len(first) < 2 or len(rows) < 2:
        return False
    if set(first) <= HEADERS:
        return True
    words = not any(_whole(cell) for cell in first)
    return words and all(len(cells) >= 2 and _whole(cells[0]) and _whole(cells[1]) for cells in rows[1:])


def _whole(text: str) -> bool:
    return text.lstrip("-").isdecimal()


def _weight(text: str) -> bool:
    return number(text) is not None or number(text.replace(",", ".")) is not None


# GraphML and GML


def _from_networkx(path: Path, suffix: str) -> Links:
    try:
        import networkx
    except ImportError as error:
        raise MissingExtra("networkx", "graphs") from error
    try:
        graph = networkx.read_graphml(path) if suffix == ".graphml" else networkx.read_gml(path, label=None)
    except OSError:
        raise
    except Exception as error:  # the readers raise whatever they stumble over
        what = " ".join(f"{error}".split())[:120] or type(error).__name__
        raise DataError(f"{path}: not a graph that can be read ({what})") from error
    labels = [str(data.get("label", node)) for node, data in graph.nodes(data=True)] if suffix == ".gml" else []
    names = labels if labels and len(set(labels)) == len(labels) else [str(node) for node in graph.nodes]
    index = {node: place for place, node in enumerate(graph.nodes)}
    pairs = np.array([(index[a], index[b]) for a, b in graph.edges()], np.int64).reshape(-1, 2)
    notes = []
    if any("weight" in data for _, _, data in graph.edges(data=True)):
        notes.append("weights are not learnt")
    return Links(names, pairs, notes, directed=graph.is_directed())


# Arrays


def _from_arrays(path: Path) -> Links:
    parts = _arrays(path)
    for prefix in ("adj_", ""):
        keys = [f"{prefix}{name}" for name in ("indptr", "indices", "shape")]
        if all(key in parts for key in keys):
            form = parts.get(f"{prefix}format", parts.get("format"))
            if not prefix and form is not None and form.reshape(-1)[0] not in (b"csr", "csr", b"csc", "csc"):
                raise DataError(f"{path}: a sparse matrix in another form than CSR: save it with  scipy.sparse.save_npz as csr")
            indptr, indices, shape = (parts[key] for key in keys)
            return _from_sparse(path, indptr, indices, shape, parts.get(f"{prefix}data"), _names(parts))
    for key in ("edges", "edge_index"):
        if key in parts:
            return _from_pairs(path, parts[key], _names(parts))
    for key in ("adjacency", "adj"):
        if key in parts:
            return _from_square(path, parts[key], _names(parts))
    if len(parts) == 1:
        (array,) = parts.values()
        if array.ndim == 2 and array.shape[0] == array.shape[1] != 2:
            return _from_square(path, array, None)
        return _from_pairs(path, array, None)
    raise DataError(f"{path}: no graph among its arrays ({', '.join(sorted(parts)[:6])}): name it `edges` or `adjacency`")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name; those of a dictionary that was saved as one object are looked into, without running its code."""
    try:
        if path.suffix.lower() == ".npy":
            return _opened({"edges": path.read_bytes()})
        with zipfile.ZipFile(path) as archive:
            if any(part.file_size > LARGEST_PART for part in archive.infolist()):
                raise DataError(f"{path}: an array of it is larger than {LARGEST_PART >> 30} GB")
            return _opened({part.filename.removesuffix(".npy"): archive.read(part) for part in archive.infolist()})
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: holds objects other than arrays ({error}), which are not opened: save arrays") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged archive, header or pickle may fail in any way
        raise DataError(f"{path}: damaged, or not an array file ({' '.join(str(error).split())[:100]})") from error


def _opened(bodies: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, body in bodies.items():
        stream = io.BytesIO(body)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read(stream)
        if not dtype.hasobject:
            found[name] = np.load(io.BytesIO(body), allow_pickle=False)
            continue
        held = _Plain(stream).load()
        held = held.item() if isinstance(held, np.ndarray) and held.ndim == 0 else held
        if isinstance(held, dict):
            found |= {str(k): v for k, v in held.items() if isinstance(v, np.ndarray) and not v.dtype.hasobject}
            found |= {str(k): np.array(v) for k, v in held.items() if isinstance(v, tuple) and str(k).endswith("shape")}
    return found


class _Plain(pickle.Unpickler):
    """Opens arrays, numbers, text and dictionaries; anything that could run code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"), ("numpy", "ndarray"),
            ("numpy", "dtype"), ("_codecs", "encode"),
        }:  # fmt: skip
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def _names(parts: Mapping[str, np.ndarray]) -> list[str] | None:
    names = parts.get("names", parts.get("node_names"))
    return None if names is None or names.ndim != 1 else [str(name) for name in names]


def _from_sparse(
    path: Path, indptr: np.ndarray, indices: np.ndarray, shape: np.ndarray, data: np.ndarray | None, names: list[str] | None
) -> Links:  # fmt: skip
    flat = shape.reshape(-1)
    sound = len(flat) == 2 and flat[0] == flat[1] and all(a.ndim == 1 and a.dtype.kind in "iu" for a in (indptr, indices))
    sound = sound and len(indptr) == int(flat[0]) + 1 and int(indptr[0]) == 0 and int(indptr[-1]) == len(indices)
    steps: np.ndarray = indptr[1:].astype(np.int64) - indptr[:-1].astype(np.int64)
    if not sound or (steps < 0).any():
        raise DataError(f"{path}: its sparse adjacency does not fit together (indptr, indices, shape): save it again")
    nodes = int(flat[0])
    rows = np.repeat(np.arange(nodes), steps)
    pairs = np.stack([rows, indices.astype(np.int64)], 1)
    notes = []
    if data is not None:
        if data.shape != indices.shape:
            raise DataError(f"{path}: its sparse adjacency has {len(data)} values for {len(indices)} places: save it again")
        pairs = pairs[data != 0]
        if len(np.unique(data[data != 0])) > 1:
            notes.append("weights are not learnt")
    held = set(zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True))
    directed = any((b, a) not in held for a, b in held)
    return _checked(path, pairs, nodes, names, notes, directed)


def _from_square(path: Path, square: np.ndarray, names: list[str] | None) -> Links:
    if square.ndim != 2 or square.shape[0] != square.shape[1] or square.dtype.kind not in "biuf":
        raise DataError(f"{path}: an adjacency is a square of numbers, this is {square.dtype} {square.shape}")
    if square.dtype.kind == "f" and not np.isfinite(square).all():
        raise DataError(f"{path}: the adjacency holds NaN or infinity: write 0 where there is no edge")
    notes = ["weights are not learnt"] if len(np.unique(square[square != 0])) > 1 else []
    return _checked(path, np.argwhere(square != 0), len(square), names, notes, bool((square != square.T).any()))


def _from_pairs(path: Path, pairs: np.ndarray, names: list[str] | None) -> Links:
    if pairs.ndim == 3 and len(pairs) == 1:  # as samples are written
        pairs = pairs[0]
    if pairs.ndim == 2 and pairs.shape[0] == 2 != pairs.shape[1]:
        pairs = pairs.T
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise DataError(f"{path}: edges are whole numbers (E, 2), this is {pairs.dtype} {pairs.shape}")
    count = int(pairs.max()) + 1 if len(pairs) else 0
    if names is None and count > 4 * len(pairs) + 1000:  # identifiers, not places
        found, places = np.unique(pairs, return_inverse=True)
        return Links([str(name) for name in found], places.reshape(-1, 2).astype(np.int64))
    return _checked(path, pairs, count if names is None else len(names), names, [], False)


def _checked(
    path: Path, pairs: np.ndarray, nodes: int, names: list[str] | None, notes: list[str], directed: bool
) -> Links:  # fmt: skip
    pairs = pairs.astype(np.int64).reshape(-1, 2)
    if len(pairs) and not (pairs.min() >= 0 and pairs.max() < nodes):
        raise DataError(f"{path}: an edge names node {int(pairs.max() if pairs.min() >= 0 else pairs.min())} of {nodes} nodes")
    if names is not None and (len(names) != nodes or len(set(names)) != nodes):
        raise DataError(f"{path}: {len(set(names))} different names for {nodes} nodes: give every node one name")
    return Links([str(k) for k in range(nodes)] if names is None else names, pairs, notes, directed)


# The graph that is learnt


def simple(links: Links, path: Path) -> Simple:
    """Undirected, without loops and repetitions, the largest connected part; every change is told in `notes`.

    Nodes keep the order of the file. Raises DataError for fewer than ten edges.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    notes = list(links.notes)
    nodes, pairs = len(links.names), links.pairs
    loops = pairs[:, 0] == pairs[:, 1]
    if loops.any():
        notes.append(f"{int(loops.sum())} edges from a node to itself were left out")
        pairs = pairs[~loops]
    low, high = np.sort(pairs, axis=1).T if len(pairs) else (pairs[:, 0], pairs[:, 1])
    keys = np.unique(low * nodes + high)
    both = len(np.unique(pairs[:, 0] * nodes + pairs[:, 1])) - len(keys)
    if links.directed:
        notes.append("directions are not learnt: an edge in either direction counts as one")
    if repeated := len(pairs) - len(keys) - both:
        notes.append(f"{repeated} repeated edges were merged")
    edges = np.stack([keys // max(nodes, 1), keys % max(nodes, 1)], 1)
    if len(edges) < LEAST_EDGES:
        raise DataError(f"{path}: {len(edges)} edges between different nodes: at least {LEAST_EDGES} are needed to learn from")
    matrix = coo_matrix((np.ones(len(edges), np.int8), edges.T), shape=(nodes, nodes))
    parts, place = connected_components(matrix, directed=False)
    sizes = np.bincount(place)
    largest = int(sizes.argmax())
    kept = np.flatnonzero(place == largest)
    if parts > 1:
        inside = place[edges[:, 0]] == largest
        notes.append(
            f"the graph falls into {parts} parts: only the largest is taken, {len(kept)} of {nodes} nodes and "
            f"{int(inside.sum())} of {len(edges)} edges"
        )
        edges = edges[inside]
        if len(edges) < LEAST_EDGES:
            raise DataError(f"{path}: its largest connected part has {len(edges)} edges: at least {LEAST_EDGES} are needed")
    number = np.full(nodes, -1, np.int64)
    number[kept] = np.arange(len(kept))
    names = tuple(links.names[k] for k in kept)
    if names == tuple(str(k) for k in range(len(names))):
        names = ()
    return Simple(names, len(kept), number[edges].astype(np.int32), notes)


def spanning_tree(edges: np.ndarray, nodes: int) -> np.ndarray:
    """(E,) bool: edges of one spanning tree (forest) drawn at random, always the same for a graph."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    pairs = np.sort(np.asarray(edges).astype(np.int64), axis=1)
    weights = np.empty(len(pairs))  # by the pair, whatever the order of edges
    weights[np.lexsort(pairs.T[::-1])] = np.random.default_rng([len(pairs), 0x72EE]).permutation(len(pairs)) + 1.0
    tree = minimum_spanning_tree(csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))).tocoo()
    inside: np.ndarray = np.isin(weights, tree.data)
    return inside
