"""Which PAW potential stands for each element."""

from __future__ import annotations

from collections.abc import Iterable

#: Potentials that are not named as their element. They are those that the VASP manual recommends
#: for PBE, but for lithium: its 1s electrons would double the cutoff of any lithium compound.
SPECIAL = {
    "Na": "Na_pv", "K": "K_sv", "Ca": "Ca_sv", "Sc": "Sc_sv", "Ti": "Ti_sv", "V": "V_sv",
    "Cr": "Cr_pv", "Mn": "Mn_pv", "Ga": "Ga_d", "Ge": "Ge_d", "Rb": "Rb_sv", "Sr": "Sr_sv",
    "Y": "Y_sv", "Zr": "Zr_sv", "Nb": "Nb_sv", "Mo": "Mo_sv", "Tc": "Tc_pv", "Ru": "Ru_pv",
    "Rh": "Rh_pv", "In": "In_d", "Sn": "Sn_d", "Cs": "Cs_sv", "Ba": "Ba_sv", "Pr": "Pr_3",
    "Nd": "Nd_3", "Pm": "Pm_3", "Sm": "Sm_3", "Eu": "Eu_2", "Gd": "Gd_3", "Tb": "Tb_3",
    "Dy": "Dy_3", "Ho": "Ho_3", "Er": "Er_3", "Tm": "Tm_3", "Yb": "Yb_2", "Lu": "Lu_3",
    "Hf": "Hf_pv", "Ta": "Ta_pv", "W": "W_sv", "Tl": "Tl_d", "Pb": "Pb_d", "Bi": "Bi_d",
    "Po": "Po_d", "Fr": "Fr_sv", "Ra": "Ra_sv",
}  # fmt: skip

#: Highest atomic number that has a potential.
LAST_ELEMENT = 96


def known_elements() -> frozenset[str]:
    """Symbols of the elements that have a potential."""
    from ase.data import chemical_symbols

    return frozenset(chemical_symbols[1 : LAST_ELEMENT + 1])


def choose(elements: Iterable[str], instead: tuple[str, ...] = ()) -> list[str]:
    """
    Name the potentials of some elements.

    Parameters
    ----------
    elements : iterable of str
        Symbols.
    instead : tuple of str
        Potentials that replace the usual ones, e.g. ``("Li_sv",)``.

    Returns
    -------
    list of str
        In the order of the elements.

    Raises
    ------
    ValueError
        If a replacement is named after no element.
    """
    table = dict(SPECIAL)
    for name in instead:
        element = name.split("_")[0]
        if element not in known_elements():
            raise ValueError(f"{name!r} is no potential; write one such as Li_sv")
        table[element] = name
    return [table.get(element, element) for element in elements]
