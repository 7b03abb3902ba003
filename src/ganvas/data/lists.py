"""Files that tell of many others by their names (`facets.ListsFiles`), such as COCO's keypoints, as rows of several fields.

Not for tables (`layouts`).
"""

from __future__ import annotations

from ..kinds import kind_names, kind_of
from ..kinds.facets import ListsFiles
from ..store.cells import SUFFIXES
from ..store.listing import Source
from .layouts import Rows, Table, clean, names_files, of_table

MOST_LISTS = 8  # files that may tell of others; more of them are records themselves


def from_lists(source: Source) -> Rows | None:
    """A file that tells of many others by their names (`facets.ListsFiles`): COCO's keypoints, at the root, in a folder of it,
    or beside it. Names are paths below the source, or below one of its folders."""
    kinds = [kind for kind in map(kind_of, kind_names()) if isinstance(kind, ListsFiles)]
    suffixes = tuple(suffix for kind in kinds for suffix in kind.suffixes if suffix not in SUFFIXES and suffix != ".npz")
    root = source.path if source.path.is_dir() else source.path.parent
    if source.path.is_file():
        lists = [source.path.name] if source.path.name.lower().endswith(suffixes) else []
    else:
        lists = [name for name in source.names if name.lower().endswith(suffixes)]
    inside = source.names if source.path.is_dir() else Source(root).names
    if not lists or len(lists) > MOST_LISTS:
        return None
    below: dict[str, str] = {}
    for name in sorted(inside):
        parts = name.split("/")
        for start in range(len(parts)):
            below.setdefault("/".join(parts[start:]), name)
    for name, kind in ((name, kind) for name in lists for kind in kinds):
        told = kind.listed(root / name)
        if told is None:
            continue
        pictures, columns = told
        names = ["file_name", *columns]
        cells = [
            {"file_name": below.get(clean(picture), picture), **{column: own[k] for column, own in columns.items()}}
            for k, picture in enumerate(pictures)
        ]
        if names_files(cells, "file_name", set(inside)):
            return of_table(Table(root / name, root, names, cells, ["file_name"], set(inside)))
    return None
