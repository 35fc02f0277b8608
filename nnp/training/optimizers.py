"""The two optimisers: full-batch L-BFGS and minibatch Adam, with state that can be saved."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]
#: Gives points and is sent value and gradient there, so that several can be evaluated at once.
Iteration = Generator[Point, tuple[float, NDArray[np.float64]], tuple[Point, bool]]


class LBFGS:
    """
    Limited-memory BFGS with a line search by bisection (weak Wolfe conditions).

    Parameters
    ----------
    memory : int
        Steps remembered.
    largest_step : float
        Longest change of the parameters in one step (Euclidean norm), so that an early step
        cannot saturate the network.
    """

    def __init__(self, memory: int = 60, largest_step: float = 5.0) -> None:
        self.memory = memory
        self.largest_step = largest_step
        self.steps: list[NDArray[np.float64]] = []
        self.changes: list[NDArray[np.float64]] = []
        self.value = np.inf
        self.gradient: NDArray[np.float64] | None = None

    def iterate(self, x: Point) -> Iteration:
        """
        One iteration from ``x``.

        Yields
        ------
        ndarray
            A point; the value and the gradient there are to be sent.

        Returns
        -------
        tuple
            The new parameters and whether any progress was possible.
        """
        if self.gradient is None:
            self.value, self.gradient = yield x
        direction = self._direction(self.gradient)
        slope = float(direction @ self.gradient)
        if slope >= 0.0:
            self.steps, self.changes = [], []
            direction, slope = -self.gradient, -float(self.gradient @ self.gradient)
        length = float(np.linalg.norm(direction))
        if length == 0.0:
            return x, False
        first = 1.0 if self.steps else min(1.0, 0.1 / length)
        found = yield from self._line_search(
            x, direction, slope, min(first, self.largest_step / length)
        )
        if found is None:
            progress = bool(self.steps)
            # Forget a bad quadratic model and try steepest descent before giving up.
            self.steps, self.changes = [], []
            return x, progress
        step, value, gradient = found
        change = gradient - self.gradient
        if change @ step > 1e-10 * np.linalg.norm(change) * np.linalg.norm(step):
            self.steps = [*self.steps, step][-self.memory :]
            self.changes = [*self.changes, change][-self.memory :]
        self.value, self.gradient = value, gradient
        return x + step, True

    def _direction(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Two-loop recursion: minus the inverse Hessian times the gradient."""
        q = -gradient
        history = []
        for step, change in zip(reversed(self.steps), reversed(self.changes), strict=True):
            rho = 1.0 / (change @ step)
            alpha = rho * (step @ q)
            q = q - alpha * change
            history.append((step, change, rho, alpha))
        if self.steps:
            step, change = self.steps[-1], self.changes[-1]
            q = q * ((step @ change) / (change @ change))
        for step, change, rho, alpha in reversed(history):
            q = q + (alpha - rho * (change @ q)) * step
        return q

    def _line_search(
        self,
        x: NDArray[np.float64],
        direction: NDArray[np.float64],
        slope: float,
        length: float,
    ) -> Generator[
        Point,
        tuple[float, NDArray[np.float64]],
        tuple[NDArray[np.float64], float, NDArray[np.float64]] | None,
    ]:
        """Step that lowers the loss enough and flattens its slope."""
        low, high = 0.0, np.inf
        best = None
        for _ in range(12):
            step = length * direction
            value, gradient = yield x + step
            if not np.isfinite(value) or value > self.value + 1e-4 * length * slope:
                high = length
            else:
                best = (step, value, gradient)
                if float(gradient @ direction) >= 0.9 * slope:
                    return best
                low = length
            length = 0.5 * (low + high) if np.isfinite(high) else 2.0 * length
        return best

    def state(self) -> dict[str, Any]:
        """Arrays to be stored in a checkpoint."""
        empty = np.zeros((0, 0))
        return {
            "steps": np.array(self.steps) if self.steps else empty,
            "changes": np.array(self.changes) if self.changes else empty,
            "value": np.array(self.value),
            "gradient": np.zeros(0) if self.gradient is None else self.gradient,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.steps, self.changes = list(state["steps"]), list(state["changes"])
        self.value = float(state["value"])
        self.gradient = state["gradient"] if len(state["gradient"]) else None


class Adam:
    """Adam with a learning rate set from outside."""

    def __init__(self, size: int, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.beta1, self.beta2 = beta1, beta2
        self.mean, self.square = np.zeros(size), np.zeros(size)
        self.count = 0

    def step(
        self, x: NDArray[np.float64], gradient: NDArray[np.float64], rate: float
    ) -> NDArray[np.float64]:
        """One update of the parameters."""
        self.count += 1
        self.mean += (1.0 - self.beta1) * (gradient - self.mean)
        self.square += (1.0 - self.beta2) * (gradient**2 - self.square)
        mean = self.mean / (1.0 - self.beta1**self.count)
        square = self.square / (1.0 - self.beta2**self.count)
        return x - rate * mean / (np.sqrt(square) + 1e-8)

    def state(self) -> dict[str, Any]:
        """Arrays to be stored in a checkpoint."""
        return {"mean": self.mean, "square": self.square, "count": np.array(self.count)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.mean, self.square = state["mean"].copy(), state["square"].copy()
        self.count = int(state["count"])
