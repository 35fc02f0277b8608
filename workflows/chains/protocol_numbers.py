"""What the protocols change of the defaults, and nothing else: help texts read it at once."""

from __future__ import annotations

#: What each protocol changes of the defaults of the makers, which are the paper's.
PROTOCOLS: dict[str, dict[str, object]] = {
    "paper": {
        "train.options.radial_cutoff": 6.0,
        "train.options.angular_cutoff": 6.0,
        "train.options.split": "random",
    },
    "quick": {
        "replicas": 2,
        "pack.n_atoms": 48,
        "melt.duration": 1.0,
        "melt.corrections": 2,
        "melting_temperature.duration": 3.0,
        "melting_temperature.side_by_side": 2,
        "melting_temperature.highest": 3000.0,
        "volume.duration": 2.0,
        "volume.max_pressure": 5.0,
        "volume.max_error": 5.0,
        "volume.max_rounds": 5,
        "volume.side_by_side": 2,
        "liquid.duration": 4.0,
        "quench.rate": 100.0,
        "anneal.duration": 2.0,
        "sample.include_search_runs": True,
        "active.rounds": 2,
        "active.labels": 130,
        "train.options.members": 4,
        "train.options.optimizer": "lbfgs",
        "train.options.split": "random",
        "train.options.stop": "converged",
        # the rounds learn on: nothing is gained by the last tenths of the errors
        "train.options.smallest_gain": 0.01,
        "train.options.patience": 30,
        # a few meV/atom tell crystals apart: beside the forces they would hardly count
        "train.options.energy_weight": 10.0,
        # most of it on the potentials of the rounds, the first one being full of holes; it ends
        # when three fresh starts found nothing, which small cells come to in seconds
        "search.evolution.generations": 60,
        "search.evolution.patience": 40,
        "search.block": 40,
        "improve.rounds": 3,
        "improve.relaxations": 5,
        "improve.relaxation_steps": 20,
        "improve.labels": 24,
        "improve.generations": 120,
        # soft crystals are far from their minima at the paper's thresholds, and the engine is cheap
        "search.relaxer.max_force": 0.05,
        "search.relaxer.max_stress": 5.0,
        "candidates.n_candidates": 14,
        "candidates.max_force": 0.01,
        "candidates.max_stress": 0.5,
        "candidates.max_steps": 60,
        # with 260 labels and three rounds of at most 129 evaluations no more than a thousand
        "candidates.budget": 350,
    },
    # the numbers of the quick protocol's search are those of a cheap engine: left at the paper's
    "economical": {
        "replicas": 2,
        "melting_temperature.duration": 2.0,
        "volume.duration": 2.0,
        "volume.max_pressure": 3.0,
        "volume.max_error": 3.0,
        "liquid.duration": 5.0,
        "quench.rate": 200.0,
        "anneal.duration": 5.0,
        "sample.include_search_runs": True,
        "active.rounds": 2,
        "train.options.members": 4,
        "train.options.optimizer": "lbfgs",
        "train.options.split": "random",
        "train.options.stop": "converged",
        "improve.rounds": 2,
    },
}

#: Taken when none is named.
DEFAULT_PROTOCOL = "quick"
