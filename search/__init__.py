"""The evolutionary search for crystal structures.

Usable alone: give it a composition and an energy.

>>> from ase.calculators.emt import EMT
>>> from search.driver import run_generations
>>> from search.energy import AseEnergy
>>> from search.evolution import Evolution, EvolutionOptions
>>> from search.relaxer import Relaxer
>>> evolution = Evolution({"Cu": 1, "Au": 1}, EvolutionOptions(formula_units=(1, 2)), seed=1)
>>> evolution = run_generations(evolution, Relaxer(), AseEnergy(EMT()), generations=10)
>>> evolution.best(3)[0].space_group

`evolution` decides what is tried, from `generators` and `topology` (structures from nothing),
`operators`, `symmetric` and `soft` (children), `archive` and `population` (who is new, who becomes
a parent) and `shares` (which operator pays off). `relaxer` and `fire` take batches of structures to
their minima. `driver` puts both together in one process; a workflow may do so with jobs instead.
"""
