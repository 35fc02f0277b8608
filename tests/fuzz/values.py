"""Values that people type, and such as nobody can mean."""

from __future__ import annotations

from random import Random
from typing import Any

#: No number can be meant by these.
NO_NUMBERS = ("nan", "inf", "-inf", "-1", "-5", "-1e300", "1e300", "1e30", "", "abc", "true", "yes",
              "0x10", "1e", "1,2,3,4,5", "--", "NaN", "1 2", "'1'", "9" * 20, "9" * 400, "1/2",
              "\udcff", "½", "1;2", "{}", "[]", "null1", "1e999", "-0.5")  # fmt: skip

#: They may be numbers that a field takes, or none.
ODD_NUMBERS = ("0", "0.0", "1", "1e-9", "1_0", "none", "1e3", "+1", " 1", "1.5", "100000", "1e-300",
               "0.3", "2", "-0.0", "7", "1.0", "1000000")  # fmt: skip

WORDS = ("", "abc", "no such thing", "../..", "~", "$HOME", "%s", "{0}", "\udce9", "é", "a" * 5000,
         "-", "/", "/dev/null", "[red]", "\n", "None", "'; rm", "name:call", ":", "::", "a:b:c",
         "mongodb://", "☃", "0", "-1", "nan")  # fmt: skip

NO_ENGINES = ("", "emf", "os:abort", "builtins:exit", "builtins:list", "sys:exit", "a:b", ":", "::",
              "ase:", ":EMT", "ase.calculators.emt:NONE", "ase.calculators.emt:EMT:x",
              "os.path:join", "numpy:zeros", "ase.build:bulk", "EMT", "potential", "\udcff", "..:a",
              "ase..emt:EMT",
              "json:loads", "importlib:import_module", "ase.calculators.emt:parameters",
              "math:pi", "antigravity:x", "this:x", "setup:x")  # fmt: skip

ENGINES = ("emt", "chgnet", "pair", "gpaw", "vasp", "ase.calculators.emt:EMT")

#: That EMT knows.
FORMULAS = ("Cu", "CuAu", "Cu3Au", "AuCu", "Ni3Al", "Al", "PdAg", "Cu2Au2", "CuAgAuPt", "Pt3Ni")

NO_FORMULAS = ("", "Xx", "Cu-1", "Cu0.5Au", "Cu0", "cu", "CUAU", "H2O·5H2O", "CuSO4.5H2O", "(Cu",
               "Cu)", "Cu((", "1", "-1", "nan", "Cu1e400", f"Cu{'9' * 30}Au", "Cu9999999Au",
               "Cu\udcff", "Cu☃", "CuAu/", "Cu Au3 !", "Cu+2", "Cu^2", "D2O", "T", "Cu1.0000001",
               "CuAgAuPtPdNi", "Cu_2", "Cu₂Au", "None", "$", "Cu" * 3000 + "-", "Cu[63]", "[63]Cu",
               "Cu,Au", "\t", "e", "Cu1e1", "NaN", "Cu2147483648Au")  # fmt: skip

NO_JSON = ("{", "[]", "3", "nul", '{"a": ', "{'a': 1}", "nan", '"a"', "\udcff", "[" * 3000, "{}{}",
           '{"a": 1,}')  # fmt: skip

NO_FILES = ("nosuch.xyz", ".", "/", "/dev/zero", "/dev/null", "", "a" * 300, "\udcff.xyz",
            "/proc/self/mem", "nosuch/folder/x", "~/nosuch")  # fmt: skip

#: To write to: nothing outside of the folder of the case, whoever runs this.
NO_OUTPUTS = ("", ".", "nosuch/folder/x", "a" * 300, "\udcff.xyz", "~/nosuch", "..", "a\nb")


def near(value: float, rng: Random) -> float:
    """Return a value that somebody may well prefer."""
    changed = value * rng.uniform(0.9, 1.0)
    return max(1, round(changed)) if isinstance(value, int) else changed


def spell(value: Any) -> str:
    """Spell a setting as it is typed."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
