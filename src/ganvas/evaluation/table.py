"""An evaluation as text: what a person reads in the terminal. Everything in it comes from the result; nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..metrics.graphs import STATISTICS as GRAPHS

NEAR_REWIRED = "1 is a copy"
LOWER, HIGHER, NEAR_REAL, ZERO = "lower", "higher", "as `real`", "near 0"

# key: (what it is called, which way is better). The order is that of reading: distance, fidelity and variety, pixels, classes.
ROWS: dict[str, tuple[str, str]] = {
    "retrieval": ("own original is the nearest", HIGHER),
    "psnr": ("PSNR to the original, dB", HIGHER),
    "flicker": ("flicker beside it, levels of 255", LOWER),
    "ms_ssim_to_original": ("MS-SSIM to the original", HIGHER),
    "perceptual": ("LPIPS-like distance to it", LOWER),
    "log_spectral_distance": ("log-spectral distance to it, dB", LOWER),
    "si_sdr": ("SI-SDR to the original, dB", HIGHER),
    "relative_error": ("relative error to the original", LOWER),
    "same_values": ("values as in the original", HIGHER),
    "same_labels": ("pixels labelled as in it", HIGHER),
    "overlap": ("overlap with it (IoU)", HIGHER),
    "chroma_error": ("colours off, with references, %", LOWER),
    "chroma_error_one": ("colours off, with one, %", LOWER),
    "chroma_error_alone": ("colours off, with none, %", LOWER),
    "anomaly_auroc": ("normal from other, AUROC", HIGHER),
    "classified": ("held-out records, class right", HIGHER),
    "attributes_as_asked": ("attributes as asked", HIGHER),
    "attributes_kept": ("other attributes kept", HIGHER),
    "content_shift": ("look lost with another motion", ZERO),
    "link_auroc": ("held-out links, AUROC", HIGHER),
    **{key: (name, NEAR_REAL) for key, name in GRAPHS.items()},
    "edge_overlap": ("edges learnt from, found again", NEAR_REWIRED),
    "heldout_overlap": ("edges held out, found", HIGHER),
    "overlap_of_samples": ("IoU of samples, nearest held-out", HIGHER),
    "overlap_of_heldout": ("IoU of held-out, nearest sample", HIGHER),
    "one_piece": ("solids in one piece", NEAR_REAL),
    "point_distance": ("points off, pixels", LOWER),
    "right_points": ("points right (PCK)", HIGHER),
    "motion": ("change from frame to frame", NEAR_REAL),
    "moving": ("share of pixels that move", NEAR_REAL),
    "wasserstein": ("numbers apart, in deviations", LOWER),
    "total_variation": ("shares of values apart", LOWER),
    "correlation": ("correlations apart", LOWER),
    "detection": ("told from real rows, AUROC", NEAR_REAL),
    "usefulness": ("models learnt from samples", HIGHER),
    "kid": ("kernel distance", LOWER),
    "fd": ("Frechet distance", LOWER),
    "fd_infinity": ("Frechet distance, N to infinity", LOWER),
    "sliced_wasserstein": ("sliced Wasserstein distance", LOWER),
    "precision": ("precision", HIGHER),
    "recall": ("recall", HIGHER),
    "density": ("density", HIGHER),
    "coverage": ("coverage", HIGHER),
    "different_bins": ("different bins (NDB/K)", LOWER),
    "in_form": ("in the form of the data", HIGHER),
    **{f"bleu_{n}": (f"BLEU-{n}, all held-out as references", HIGHER) for n in (2, 3, 4)},
    **{f"self_bleu_{n}": (f"self-BLEU-{n}", NEAR_REAL) for n in (2, 3, 4)},
    "diversity": ("diversity (LPIPS-like)", NEAR_REAL),
    "ms_ssim": ("MS-SSIM of pairs", NEAR_REAL),
    "spectrum": ("spectrum distance", LOWER),
    "intensity": ("intensity distance", LOWER),
    "checkerboard": ("checkerboard excess", ZERO),
    "classifier_score": ("classifier score", NEAR_REAL),
    "classes_covered": ("classes covered", HIGHER),
    "classes_js": ("class shares, divergence", LOWER),
    "label_agreement": ("classes as asked", HIGHER),
    "unintended": ("findings nobody asked for", ZERO),
    "missing": ("findings asked for, missing", ZERO),
    "impossible": ("impossible combinations", ZERO),
}
INCEPTION = {"kid": "KID", "fd": "FID", "fd_infinity": "FID, N to infinity", "classifier_score": "Inception Score"}
AUDIT = {
    "edge_overlap": "edges learnt from",
    "edges_learnt": "of them by lot, not held out",
    "near_copies": "near copies",
    "noisy_copies": "copies under noise",
    "dcr_share": "nearer to training (DCR)",
    "mia_auc": "membership inference, AUC",
    "mia_tpr_at_1_fpr": "membership, TPR at 1 % FPR",
    "auth_pct": "AuthPct",
    "c_t": "data copying C_T",
}


def number(value: Any) -> str:
    """Four significant digits, without an exponent where it can be helped."""
    if value is None:
        return "-"
    text = f"{value:.4g}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if "e-0" in text and abs(value) >= 1e-4 else text


def interval(measure: Mapping[str, Any]) -> str:
    """`value [low, high]`."""
    ends = f" [{number(measure['low'])}, {number(measure['high'])}]" if measure.get("low") is not None else ""
    return number(measure["value"]) + ends


def names(result: Mapping[str, Any]) -> dict[str, str]:
    """What each key is called, given the extractor: FID, KID and Inception Score only with Inception-v3's own weights."""
    called = {key: name for key, (name, _) in ROWS.items()}
    return called | (INCEPTION if result["features"]["is_inception"] else {})


def lines(result: Mapping[str, Any]) -> list[str]:
    """The table, the audit and the notes, one line each."""
    real, anchors = result["real"], result.get("anchors", {})
    split = {
        "given": "named with --heldout",
        "run": "kept away from training",
        "declared": "as the data says",
        "now": "set apart for this evaluation",
        "none": "the same: nothing is held out",
    }[real["split"]]
    out = [
        f"samples   {result['fake']['n']} of {result['fake']['source']}",
        f"real      {real['train']} training, {real['heldout']} held-out records ({split}) of {real['source']}",
        f"protocol  {result['protocol']}",
        "",
    ]
    called = names(result)
    head = ["", "samples [95 %]", *anchors, "better"]
    blind = result.get("misleading", {})
    rows = [
        [
            called[key],
            interval(result[key]),
            *(number(side.get(key, {}).get("value")) for side in anchors.values()),
            f"no telling: `{blind[key]}` is no worse than `real`" if key in blind else better,
        ]
        for key, (_, better) in ROWS.items()
        if key in result
    ]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:-1], strict=True)]
        out.append("  ".join([*cells, row[-1]]).rstrip())
    if anchors:
        words = {
            "real": "training records in place of samples, the best to expect",
            "linear": "a Gaussian over 64 principal components",
            "untrained": "fresh weights",
            "noise": "random values",
            **result.get("beside", {}),
        }
        if "rewired" in anchors:
            words |= {"real": "the graph that was learnt from", "rewired": "its edges swapped at random, every degree kept"}
        out += ["", "; ".join(f"{name}: {said}" for name, said in words.items() if name in anchors)]
    advice = result.get("fd", {}).get("advice")
    if advice:
        out.append(f"note: {advice}")
    if "memorisation" in result:
        out += ["", *_audit_lines(result["memorisation"])]
    out += [f"note: {note}" for note in result["notes"]]
    if "files" in result:
        out += ["", *(f"{name:<9} {path}" for name, path in result["files"].items())]
    return out


def _audit_lines(audit: Mapping[str, Any]) -> list[str]:
    out = [f"memorisation: {(audit['verdict'] or 'not tested').upper()}", f"  {audit['reason']}"]
    width = max(len(name) for name in AUDIT.values())
    for key, name in AUDIT.items():
        if key not in audit:
            continue
        measure = audit[key]
        null = measure.get("null", measure.get("expected"))
        by_chance = "" if null is None else f"   unseen real data: {number(null)}"
        if "null_low" in measure:
            by_chance += f" [{number(measure['null_low'])}, {number(measure['null_high'])}]"
        out.append(f"  {name:<{width}}  {interval(measure)}{by_chance}")
    if audit.get("could_not_see"):
        out.append(f"  could not see: {'; '.join(audit['could_not_see'])}")
    return out + [f"  note: {note}" for note in audit["notes"]]
