"""Files of graphs that are written: edge lists, CSV, GraphML, GML and arrays. Not for reading (`files`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np

FORMATS = ("edges", "graphml", "gml", "csv", "npz")
SYNTHETIC = "SYNTHETIC: made by a generative model, not an observed graph"


def written(edges: np.ndarray, names: Sequence[str], nodes: int, format: str, note: Mapping[str, str]) -> bytes:
    """One graph (E, 2) as a file that says it is synthetic. format: one of `FORMATS`."""
    told = "; ".join([SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
    called = list(names) or [str(k) for k in range(nodes)]
    pairs = np.asarray(edges).astype(np.int64)
    if format == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, edges=pairs.astype(np.int32), names=np.array(called), note=np.array(told))
        return buffer.getvalue()
    if format == "graphml":
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
            f"  <desc>{escape(told)}</desc>",
            '  <graph edgedefault="undirected">',
            *(f"    <node id={quoteattr(name)}/>" for name in called),
            *(f"    <edge source={quoteattr(called[a])} target={quoteattr(called[b])}/>" for a, b in pairs.tolist()),
            "  </graph>",
            "</graphml>",
        ]
        return ("\n".join(lines) + "\n").encode()
    if format == "gml":
        lines = ["graph [", f'  comment "{_quoted(told)}"', "  directed 0"]
        lines += [f'  node [ id {k} label "{_quoted(name)}" ]' for k, name in enumerate(called)]
        lines += [f"  edge [ source {a} target {b} ]" for a, b in pairs.tolist()]
        return ("\n".join([*lines, "]"]) + "\n").encode()
    if format == "csv":
        text = io.StringIO()
        text.write(f"# {told}\n")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["source", "target"])
        rows.writerows((called[a], called[b]) for a, b in pairs.tolist())
        return text.getvalue().encode()
    mark = "\t" if any(set(name) & set(" ,;{") for name in called) else " "
    return "\n".join([f"# {told}", *(f"{called[a]}{mark}{called[b]}" for a, b in pairs.tolist()), ""]).encode()


def _quoted(text: str) -> str:
    """Text as GML holds it: ASCII, with character references for the rest, for quotation marks and for ampersands."""
    return "".join(c if " " <= c <= "~" and c not in '"&' else f"&#{ord(c)};" for c in text)
