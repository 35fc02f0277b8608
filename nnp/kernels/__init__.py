"""
Compiled kernels: neighbour lists, symmetry functions, networks, and the way back to forces.

From the outside in: :mod:`batch` evaluates a range of the atoms of several structures, with the
lists of :mod:`neighbors`; :mod:`atom` does one atom, with :mod:`triplets` for the angular
functions and :mod:`layers` for the network; :mod:`tile_loops` has the innermost loops.

Words used in all of them:

centre
    The atom whose symmetry functions and energy are computed.
near, close
    Its neighbours within the radial cutoff, and those of them within the angular cutoff.
triplet
    A centre and two close neighbours j and k; its legs are the vectors to these two.
moment
    Sum over triplets of exp(-eta S) F cos^p(theta): the angular functions are linear in them, so
    the network works on moments. Radial functions count as moments too.
block
    The moments of one pair of neighbour elements.
tile, lane
    :data:`~nnp.kernels.workspace.LANES` numbers of each kind side by side, and one place in it.
slot
    Place of a near neighbour; each element's neighbours begin at a full tile.
"""
