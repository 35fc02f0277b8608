"""Imports point one way: between the packages, between their parts, and in no circle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: From the foundation up: a module may import modules of its own layer and of those before it.
#: A module belongs to the longest prefix that fits.
LAYERS = (
    # the potential; it knows nobody
    ("nnp.storage", "nnp.units", "nnp.validation"),
    ("nnp.kernels",),
    ("nnp.calibration", "nnp.descriptors", "nnp.frames", "nnp.metrics", "nnp.periodicity"),
    ("nnp.evaluator", "nnp.networks", "nnp.potential"),
    ("nnp.formats",),
    ("nnp.calculator", "nnp.evaluation"),
    ("nnp.training",),
    ("nnp.analysis",),
    ("nnp",),
    # the search: knows how things are stored, and nothing else of the potential
    (
        "search.geometry",
        "search.cells",
        "search.symmetry",
        "search.symmetry_operations",
        "search.candidate",
        "search.charge_balance",
        "search.composition_parsing",
        "search.composition_space",
        "search.relax.limits",
    ),
    ("search.create",),
    # what can be chosen, the operators among it
    ("search.options",),
    ("search.relax",),
    ("search.state",),
    ("search.run",),
    ("search",),
    # the task graph
    (
        "workflows.composition",
        "workflows.conversion",
        "workflows.enthalpy_lines",
        "workflows.frame_compositions",
        "workflows.hull",
        "workflows.oxidation",
        "workflows.settings",
        "workflows.statistics",
        "workflows.system",
        "workflows.yaml_files",
    ),
    ("workflows.documents",),
    ("workflows.jobs",),
    (
        "workflows.engines.base",
        "workflows.engines.dispersion",
        "workflows.engines.moments",
        "workflows.engines.names",
        "workflows.engines.plane_waves",
    ),
    ("workflows.engines.ase",),
    ("workflows.engines.gpaw", "workflows.engines.vasp", "workflows.engines.potential"),
    ("workflows.engines.registry",),
    ("workflows.stages",),
    ("workflows.chains",),
    ("workflows",),
    # what people use
    ("launch.errors", "launch.parent_process", "launch.shell", "launch.versions"),
    ("launch.own_files", "launch.yaml_files"),
    ("launch.database",),
    ("launch.cluster",),
    ("launch.report",),
    ("launch.local",),
    ("launch.transfer",),
    ("launch.commands.shared",),
    ("launch.commands",),
    ("launch",),
)
#: All that the search may know of the potential's package.
SHARED_WITH_SEARCH = ("nnp.storage", "nnp.units")


def modules(root: Path) -> dict[str, Path]:
    """Files of the four packages by the names of their modules."""
    found = {}
    for package in ("nnp", "search", "workflows", "launch"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if "templates" not in parts:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """Modules of the four packages that a module imports anywhere, also for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return (found & known) - {name}


def layer(name: str) -> int:
    """Number of the layer that a module belongs to."""
    fitting = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if name == prefix or name.startswith(f"{prefix}.")
    ]
    return max(fitting)[1]


def graph(root: Path) -> dict[str, set[str]]:
    """Imports of every module."""
    found = modules(root)
    return {name: imports(name, path, set(found)) for name, path in found.items()}


def violations(edges: dict[str, set[str]]) -> list[str]:
    """Imports that point up, and what the search may not know."""
    wrong = []
    for name, imported in sorted(edges.items()):
        for other in sorted(imported):
            up = layer(other) > layer(name)
            stranger = (
                name.startswith("search")
                and other.startswith("nnp")
                and not other.startswith(SHARED_WITH_SEARCH)
            )
            if up or stranger:
                wrong.append(f"{name} imports {other}")
    return wrong


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or through others."""
    reach = {name: _reachable(name, edges) for name in edges}
    rings = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in edges
        if name in reach[name]
    }
    return [list(ring) for ring in sorted(rings)]


def _reachable(name: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(edges[name])
    while ahead:
        other = ahead.pop()
        if other not in found:
            found.add(other)
            ahead += edges[other]
    return found


def test_imports_point_one_way() -> None:
    assert violations(graph(ROOT)) == []


def test_there_are_no_circles() -> None:
    assert circles(graph(ROOT)) == []


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("nnp/frames.py", "import search.geometry", "nnp.frames imports search.geometry"),
        ("search/geometry.py", "from nnp.potential import Potential",
         "search.geometry imports nnp.potential"),
        ("workflows/engines/base.py", "def late():\n    from workflows.stages import melt",
         "workflows.engines.base imports workflows.stages.melt"),
        ("workflows/stages/melt.py", "if TYPE_CHECKING:\n    import workflows.chains.prediction",
         "workflows.stages.melt imports workflows.chains.prediction"),
        ("launch/database/embedded.py", "from launch.cluster import slurm",
         "launch.database.embedded imports launch.cluster.slurm"),
    ],
)  # fmt: skip
def test_an_import_that_points_up_is_seen(
    tmp_path: Path, module: str, line: str, expected: str
) -> None:
    """Also inside of functions, and for types only."""
    _copy(tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert expected in violations(graph(tmp_path))


def test_a_circle_is_seen(tmp_path: Path) -> None:
    _copy(tmp_path)
    for module, other in (("melt", "volume"), ("volume", "melt")):
        with (tmp_path / f"workflows/stages/{module}.py").open("a") as file:
            file.write(f"\nimport workflows.stages.{other}\n")
    assert any("workflows.stages.melt" in ring for ring in circles(graph(tmp_path)))


def _copy(folder: Path) -> None:
    for path in modules(ROOT).values():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
