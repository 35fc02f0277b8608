"""The section of one compound: the paper's figures and ours, from what has been kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.paper_cost import cost
from tests.benchmarks.paper_facts import Facts
from tests.benchmarks.paper_numbers import (
    CHECK,
    FRAMES,
    GLASS,
    JUDGED_ON_AVERAGE,
    RETRAINING,
    THRESHOLDS,
    PaperCompound,
)
from tests.benchmarks.paper_tables import NAMES, Kept, number, table, window_row

#: Fewer crystals than these give a correlation that a single one may turn.
FEW = 20
#: Where crystals of a judging set come from.
ORIGINS = ("known", "search", "random", "candidate")
#: meV/atom within which an energy is that of the stable phase.
SAME = 1.0


def section(kept: Kept) -> str:
    """
    Write the section of a compound.

    Parameters
    ----------
    kept : Kept
    """
    own = kept.first()
    paper = kept.paper
    lines = [f"## {paper.formula} ({paper.space_group})", ""]
    if own is None:
        return "\n".join([*lines, "Nothing has been computed yet.", f"`{kept.command}`", ""])
    commits = ", ".join(dict.fromkeys(one for f in kept.facts.values() for one in f["commits"]))
    lines += [f"`{kept.command}`, engine {own['engine']}, commit {commits or '?'}", ""]
    parts = (
        ("II.A Training set", training_set),
        ("II.B Potential", training),
        ("III.B Judged by crystals that training has not seen", judgement),
        ("III.C Lowest energies, and learning on", search),
        ("III.D Cost", cost),
    )
    for heading, write in parts:
        lines += [f"### {heading}", "", write(kept, own), ""]
    return "\n".join(lines)


def training_set(kept: Kept, own: Facts) -> str:
    """II.A: convergence, melting temperature, volume, frames, check; what was shortened."""
    paper, sample = kept.paper, own["sample"]
    if sample is None or own["melt"] is None:
        return "There is no training set yet."
    melting, volume = own["melt"], own["volume"] or {}
    rows = [
        ("T_m, K", str(paper.melting_temperature),
         f"{melting['melting_temperature_K']:.0f} ± "
         f"{melting['melting_temperature_uncertainty_K']:.0f}"),
        ("atoms", "about 100", str(sample["atoms"])),
        ("frames", f"{FRAMES[0]} to {FRAMES[1]}", str(sample["frames"])),
    ]  # fmt: skip
    if volume:
        pressure, error = volume["liquid_pressure_kbar"]
        rows += [("volume of the liquid, Å³/atom", "–", f"{volume['liquid_volume_A3_atom']:.2f}"),
                 ("its pressure, kbar", "0", f"{pressure:.1f} ± {error:.1f}")]  # fmt: skip
    zero = stable_energy(kept)
    if sample["glass"] is not None and zero is not None:
        height = 1e3 * (sample["glass"] - zero)
        rows.append(("glass above the crystal, meV/atom (anneal less 3/2 k_B T)",
                     f"{GLASS[0]:.0f} to {GLASS[1]:.0f}", f"{height:.0f}"))  # fmt: skip
    if len(melting["tried"]) and not any(
        float(t) > melting["melting_temperature_K"] for t in melting["tried"]
    ):
        said = ["T_m is the highest temperature that was tried."]
    else:
        said = []
    said = [table(("", "paper", "here"), rows), "", *said, _convergence(own, paper),
            _shortened(own)]  # fmt: skip
    return "\n".join(said)


def _convergence(own: Facts, paper: PaperCompound) -> str:
    if own["convergence"] is None:
        said = (
            f"The engine has no plane waves: there is no convergence test (paper: {paper.cutoff} "
            f"eV, Gamma) and no check of {CHECK['frames']} frames (paper: below "
            f"{CHECK['energy']:g} meV/atom and {CHECK['force']:g} eV/Å)."
        )
        return said if own["check"] is None else ""
    check = own["check"]
    said = f"Plane waves: {own['convergence']['plane_waves']} (paper: {paper.cutoff} eV, Gamma). "
    if check is None:
        return said + "The check of 30 frames is not there yet."
    return said + (
        f"{check['n_frames']} frames against {CHECK['cutoff']} eV and 3 × 3 × 3 k-points: "
        f"{check['energy_error']:.1f} meV/atom, {check['force_error']:.2f} eV/Å (paper: below "
        f"{CHECK['energy']:g}, {CHECK['force']:g})."
    )


def _shortened(own: Facts) -> str:
    changed = own["changed"]
    if not changed:
        return "Every length, rate and limit is that of the paper's protocol."
    listed = "; ".join(
        f"`{path}` {_plain(ours)} (paper's {_plain(theirs)}{f' {unit}' if unit else ''})"
        for path, ours, theirs, unit in changed
    )
    return f"Other than in the `paper` protocol: {listed}."


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def training(kept: Kept, own: Facts) -> str:
    """II.B: errors on validation against the thresholds, time, learning curve."""
    fit = own["training"]
    if fit is None:
        return "There is no potential yet."
    limits = (THRESHOLDS["energy"], kept.paper.force_threshold, THRESHOLDS["stress"])
    errors = (fit["energy_meV_atom"], fit["force_eV_A"], fit["stress_kbar"])
    units = ("energy, meV/atom", "force, eV/Å", "stress, kbar")
    rows = [(unit, f"below {limit:g}", f"{error:.3g}")
            for unit, limit, error in zip(units, limits, errors, strict=True)]  # fmt: skip
    reached = "reached" if fit["converged"] else "not all reached"
    seconds = own["stages"].get("train", 0.0)
    said = [
        table(("validation error", "paper", "here"), rows), "",
        f"{fit['training']} frames train and {fit['validation']} validate; the thresholds of the "
        f"campaign were {reached} in {fit['epochs']} epochs. Training took "
        f"{seconds / 60:.1f} min of wall time in all.",
    ]  # fmt: skip
    if not own["curve"]:
        return "\n".join([*said, "There is no learning curve yet."])
    curve = [
        (str(one["n_training"]), f"{one['energy_rmse']:.2f}", f"{one['force_rmse']:.3f}",
         f"{one['stress_rmse']:.2f}")
        for one in own["curve"]
    ]  # fmt: skip
    head = ("training frames", "meV/atom", "eV/Å", "kbar")
    return "\n".join([*said, "", "The learning curve, on the same validation frames:", "",
                      table(head, curve)])  # fmt: skip


def stable_energy(kept: Kept) -> float | None:
    """
    Energy of the lowest known phase by the engine; of the lowest crystal where none is known.

    Returns
    -------
    float or None
        eV/atom; none where nothing was judged or ranked.
    """
    points = [p for f in kept.facts.values() if f["judge"] for p in f["judge"]["points"]]
    known = [p["reference_energy"] for p in points if p["origin"] == "known"]
    if known:
        return min(known)
    found = [p["reference_energy"] for p in points]
    found += [c["energy"] for f in kept.facts.values() for c in f["candidates"] or []]
    return min(found, default=None)


def judgement(kept: Kept, own: Facts) -> str:
    """III.B, Figs. 2, 3 and 5: correlation, errors, lowest phase, deviations, coverage."""
    judged = {name: facts for name, facts in kept.facts.items() if facts["judge"]}
    if not judged:
        return "Nothing has been judged yet."
    paper = kept.paper
    rows = [("paper", f"{JUDGED_ON_AVERAGE} on average, up to 500 meV/atom",
             number(paper.pearson, ".3f"), "–", number(paper.rmse), "–")]  # fmt: skip
    for name in NAMES:
        if name not in judged:
            continue
        rows.append(_judged_row(NAMES[name], judged[name]["judge"]["single_points"]))
        if name == "judge-default":
            earlier = judged[name]["judge"]["earlier"]
            rows += [
                _judged_row(
                    f"{NAMES[name]}, potential {k} of {len(earlier) + 1}", e["single_points"]
                )
                for k, e in enumerate(earlier, start=1)
            ]
    head = ("potential", "crystals within 200 meV/atom", "r", "rank correlation",
            "RMSE, meV/atom", "mean error, meV/atom")  # fmt: skip
    said = [table(head, rows), ""]
    for name, facts in judged.items():
        said += [f"**{NAMES.get(name, name)}.** {_judged_in_words(kept, facts['judge'])}", ""]
    return "\n".join(said).rstrip()


def _judged_row(name: str, rows: Sequence[Facts]) -> tuple[str, ...]:
    row = window_row(rows)
    return (
        name, f"{row['n']:.0f}", number(row["pearson"], ".3f"), number(row["spearman"], ".3f"),
        number(row["rmse"]), number(row["mean_error"], "+.1f"),
    )  # fmt: skip


def _judged_in_words(kept: Kept, judge: Facts) -> str:
    lowest = judge["lowest"]
    origins = [point["origin"] for point in judge["points"]]
    listed = ", ".join(f"{origins.count(kind)} {kind}" for kind in (*ORIGINS,)
                       if kind in origins)  # fmt: skip
    said = [
        f"Of {len(origins)} crystals ({listed}) {judge['n_in_training']} are in the training set "
        f"and count in no figure: {judge['n_tested']} are left."
    ]
    if 1 < judge["n_tested"] < FEW:
        span = np.ptp([p["reference_energy"] for p in judge["points"] if not p["in_training"]])
        said.append(
            f"A correlation of so few, within {1e3 * span:.0f} meV/atom of each other, says little."
        )
    if "candidate" in origins:
        said.append(
            "There was no search by the engine: the candidates are the campaign's own, which its "
            "potential has chosen after it had learnt from others like them. The paper's judging "
            "sets are harder."
        )
    if lowest["known_phase"] is None:
        said.append("There is no known phase to be the lowest.")
    else:
        before, after = ("is" if lowest[key] == lowest["known_phase"] else "is not"
                         for key in ("potential", "potential_relaxed"))  # fmt: skip
        also_after = "" if judge["relaxed"] is None else f" and {after} after it"
        also = (
            ""
            if lowest["reference"] == lowest["known_phase"]
            else (f" (by the engine itself {lowest['reference']} is lower)")
        )
        said.append(f"The lowest known phase, {lowest['known_phase']}, {before} the lowest by the "
                    f"potential before relaxation{also_after}{also}.")  # fmt: skip
    if judge["relaxed"] is None:
        return " ".join([*said, "Nothing was relaxed by the potential, and no coverage computed."])
    up, down = (window_row(judge[key], 500.0)["mean_error"] for key in ("single_points", "relaxed"))
    said.append(f"Up to 500 meV/atom the potential is off by {number(up, '+.1f')} meV/atom at the "
                f"engine's geometries and by {number(down, '+.1f')} at its own (paper: upwards and "
                "downwards).")  # fmt: skip
    for origin, elements in judge["coverage"].items():
        shares = ", ".join(f"{element} {share:.0%}" for element, share in elements.items())
        said.append(f"Atoms of {origin} crystals within the training set: {shares}.")
    return " ".join(said)


def search(kept: Kept, own: Facts) -> str:
    """III.C, Figs. 4 and 5: lowest energies above the stable phase; time against Z."""
    zero, paper = stable_energy(kept), kept.paper
    if zero is None:
        return "There is no energy of the stable phase yet."
    rows = [("search by the reference", number(paper.lowest_by_reference), _above(
        [p["reference_energy"] for f in kept.facts.values() if f["judge"]
         for p in f["judge"]["points"] if p["origin"] == "search"], zero))]  # fmt: skip
    learnt = kept.facts.get("judge-learnt")
    first = learnt["round"]["energies"] if learnt and learnt["round"] else []
    rows.append(("search on the potential of the melt", number(paper.lowest_by_potential),
                 _above(first, zero)))  # fmt: skip
    for name, what in (("judge-learnt", "search after learning from its candidates"),
                       ("judge-default", "protocol `quick`")):  # fmt: skip
        candidates = (kept.facts.get(name) or {}).get("candidates")
        rows.append((what, "–", _above([c["energy"] for c in candidates or []], zero)))
    said = [table(("lowest energy by the engine above the stable phase, meV/atom", "paper",
                   "here"), rows), ""]  # fmt: skip
    if not any(p["origin"] == "known" for f in kept.facts.values() if f["judge"]
               for p in f["judge"]["points"]):  # fmt: skip
        said.append("No known phase was given: the lowest crystal of all of these is the zero.")
    found = [c["energy"] for f in kept.facts.values() for c in f["candidates"] or []] + first
    if found:
        lowest = 1e3 * (min(found) - zero)
        solved = "The ground state of the engine, as far as it is known, was found."
        missed = f"The stable phase was not found: {lowest:.1f} meV/atom are missing."
        said.append(solved if lowest <= SAME else missed)
    said.append(_learning_on(kept))
    if kept.searches:
        said += ["", _by_units(kept)]
    return "\n".join(said)


def _above(energies: Sequence[float], zero: float) -> str:
    # adding zero leaves no negative one
    return f"{round(1e3 * (min(energies) - zero), 1) + 0.0:.1f}" if energies else "not yet"


def _learning_on(kept: Kept) -> str:
    """Say what became of r and RMSE, on the same judging set."""
    names = ("judge-first", "judge-learnt", "judge-melt")
    rows = {name: window_row(kept.facts[name]["judge"]["single_points"])
            for name in names if name in kept.facts and kept.facts[name]["judge"]}  # fmt: skip
    if "judge-first" not in rows or len(rows) < 2:
        return "Learning from candidates or from a melt-quench has not been judged yet."
    before = rows.pop("judge-first")
    said = [
        f"{NAMES[name]}: r {number(before['pearson'], '.3f')} → {number(row['pearson'], '.3f')}, "
        f"RMSE {number(before['rmse'])} → {number(row['rmse'])} meV/atom"
        for name, row in rows.items()
    ]
    return (
        f"On the same judging set, {'; '.join(said)} (paper, Ba2AgSi3 with "
        f"{RETRAINING['candidates']} candidates: r {RETRAINING['pearson_before']:.3f} → "
        f"{RETRAINING['pearson_after']:.3f}). What training has seen by then does not count."
    )


def _by_units(kept: Kept) -> str:
    rows = [
        (str(z), str(one["structures"]), f"{one['cpu_seconds'] / one['structures']:.3f}",
         f"{one['best'][0]['energy']:.4f}" if one["best"] else "–")
        for z, one in sorted(kept.searches.items())
    ]  # fmt: skip
    return table(("Z", "structures relaxed", "CPU s a structure",
                  "lowest by the potential, eV/atom"), rows)  # fmt: skip
