"""How well a potential and the reference engine agree on crystals."""

from __future__ import annotations

from pydantic import Field

from workflows.documents.base import Document


class Agreement(Document):
    """How well the potential and the reference engine agree on crystals near the bottom."""

    window: float = Field(description="structures up to this far above the lowest (meV/atom)")
    n: int = Field(description="structures in it")
    mean_error: float | None = Field(None, description="potential minus engine (meV/atom)")
    deviation: float | None = Field(None, description="of the errors (meV/atom)")
    spearman: float | None = Field(None, description="rank correlation")
    ordered: float | None = Field(
        None,
        description="pairs in the same order minus pairs in the other one, as a part of those that "
        "the resolution of the gate tells apart",
    )
    pearson: float | None = Field(None, description="linear correlation")
    expected_error: float | None = Field(
        None, description="that the potential expects of itself, root mean square (meV/atom)"
    )

    def figures(self) -> dict[str, float | int | None]:
        """Give the figures as JSON types; the end of a name is its unit."""
        return {
            "window_meV_atom": self.window,
            "structures": self.n,
            "mean_error_meV_atom": self.mean_error,
            "deviation_meV_atom": self.deviation,
            "spearman": self.spearman,
            "ordered": self.ordered,
        }
