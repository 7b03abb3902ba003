"""What a check of data found, and how it reads. Not for finding it: `check`, `pictures`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..store.listing import counted, some

LISTED = 50
"""At most this many pairs or files of a kind are listed; the counts are always complete."""


@dataclass
class CheckReport:
    """What `check` found. Pairs are names of records; lists are cut at `LISTED`, counts are not; a count of -1 was not taken.

    sizes, depths, channels, labels: how many records of each. groups, group_source: how many groups a table or the
    PatientID names (0 and "" if neither does). split: records per side of a `split` column. least, most: the extreme
    values; percentiles: 0.1, 50 and 99.9; histogram: shares of 16 equal bins from least to most; saturated: shares of
    pixels at or beyond the black and the white end of the range the files declare. train: lines to run next.
    fields: of records of several, name -> what they are; lonely: rows and files without their partner; sheet: the picture of
    rows that was written. alone: the kind, where all files of the source are those of one field.
    """

    source: str
    kind: str
    files: int = 0
    records: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    group_source: str = ""
    split: dict[str, int] = field(default_factory=dict)
    least: float = 0.0
    most: float = 0.0
    percentiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    histogram: list[float] = field(default_factory=list)
    saturated: tuple[float, float] = (0.0, 0.0)
    exact_count: int = 0
    exact: list[tuple[str, str]] = field(default_factory=list)
    near_count: int = 0
    near: list[tuple[str, str]] = field(default_factory=list)
    leak_count: int = 0
    leaks: list[tuple[str, str]] = field(default_factory=list)
    burned_in: list[str] = field(default_factory=list)
    burned_in_unknown: int = 0
    patient_tags: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    lonely: list[str] = field(default_factory=list)
    lonely_count: int = 0
    sheet: str = ""
    alone: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report as text, most important last."""
        out = [f"{self.source}: {self.records} {self.kind} in {counted(self.files, 'file')}"]

        def row(name: str, text: str) -> None:
            out.append(f"  {name:<12} {text}")

        def listed(counts: dict[str, int], most: int = 8) -> str:
            shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:most])
            return shown + (f" and {len(counts) - most} more" if len(counts) > most else "")

        for name, told in self.fields.items():
            row("field", f"{name}: {told}")
        for name, counts in (("size", self.sizes), ("depth", self.depths), ("channels", self.channels)):
            if counts:
                row(name, listed(counts))
        if self.labels:
            row("labels", listed(self.labels, 20))
        if self.groups:
            row("groups", f"{self.groups}, from {self.group_source}")
        if self.split:
            row("split", listed(self.split))
        if self.histogram:
            low, middle, high = self.percentiles
            row("values", f"{self.least:g} to {self.most:g}; percentiles 0.1: {low:g}, 50: {middle:g}, 99.9: {high:g}")
            tallest = max(self.histogram) or 1.0
            row("histogram", "".join(" ▁▂▃▄▅▆▇█"[round(8 * share / tallest)] for share in self.histogram))
            row("saturated", f"{self.saturated[0]:.1%} black, {self.saturated[1]:.1%} white")
        if self.exact_count >= 0:
            near = f", {self.near_count} near" if self.near_count >= 0 else ""
            row("duplicates", f"{self.exact_count} exact{near}")
        for title, pairs in (("same as", self.exact), ("twin of", self.near)):
            out += [f"    {a}  {title}  {b}" for a, b in pairs[:5]]
        out += [f"  note: {note}" for note in self.notes]
        out += [f"  note: {warning} ({some(names)})" for warning, names in self.warnings.items()]
        if self.patient_tags:
            out.append(f"  patient tags filled in: {listed(self.patient_tags, 30)}; none reaches a sample")
        out += [f"  cannot be read: {name}: {reason}" for name, reason in self.unreadable[:LISTED]]
        out += [f"  no partner: {line}" for line in self.lonely]
        if self.lonely_count > len(self.lonely):
            out.append(f"  no partner: and {self.lonely_count - len(self.lonely)} more")
        if self.sheet:
            row("sheet", self.sheet)
        out += [f"  problem: {problem}" for problem in self.problems]
        return out + [f"  next: {line}" for line in self.train]
