"""The evolutionary search for crystal structures.

Usable alone: give it a composition and an energy.

>>> from ase.calculators.emt import EMT
>>> from search.run.driver import run_generations
>>> from search.relax.energy import AseEnergy
>>> from search.state.evolution import Evolution, EvolutionOptions
>>> from search.relax.relaxer import Relaxer
>>> evolution = Evolution({"Cu": 1, "Au": 1}, EvolutionOptions(formula_units=(1, 2)), seed=1)
>>> evolution = run_generations(evolution, Relaxer(), AseEnergy(EMT()), generations=10)
>>> evolution.best(3)[0].space_group

`evolution` decides what is tried; `variation` makes it, from `generators`, `topology` and
`prototypes` (structures from nothing) and `operators`, `symmetric` and `soft` (children), with what
has been `learned` of the system. `archive` and `population` say who is new and who becomes a
parent, `shares` which operator pays off, `history` keeps the books. `relaxer` and `fire` take
batches of structures to their minima. `driver` puts it all together in one process, `islands` in
several that exchange their best; a workflow may do so with jobs instead.
"""
