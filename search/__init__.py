"""
The evolutionary search for crystal structures.

Usable alone: give it a composition and an energy.

>>> from ase.calculators.emt import EMT
>>> from search.run.driver import run_generations
>>> from search.relax.energy import AseEnergy
>>> from search.options import EvolutionOptions
>>> from search.state.evolution import Evolution
>>> from search.relax.relaxer import Relaxer
>>> evolution = Evolution({"Cu": 1, "Au": 1}, EvolutionOptions(formula_units=(1, 2)), seed=1)
>>> evolution = run_generations(evolution, Relaxer(), AseEnergy(EMT()), generations=10)
>>> evolution.best(3)[0].space_group

What lies where:

- `search.create`: structures from nothing and children of relaxed ones. `registry` is the table of
  all operators: a new one is a function and a row there.
- `search.relax`: batches of structures to their minima, by any energy, under pressure if wanted.
- `search.state`: `evolution` is asked for structures and told what became of them. `fitness` says
  what is better: another notion is a class derived from it. `archive` and `population` say who is
  new and who becomes a parent, `shares` which operator pays off, `adaptation` where new structures
  begin.
- `search.run`: one process (`driver`), several populations that exchange their best (`islands`),
  and those in processes of their own (`processes`); a workflow may run them as jobs instead.
"""
