"""What a process says that it is doing."""

from __future__ import annotations

import pytest

from workflows.jobs.interruption import computing, external_program, may_end, storing


def state() -> tuple[bool, bool]:
    """Whether the process may end, while there is time and where there is none."""
    return may_end(now=False), may_end(now=True)


def test_only_what_says_so_may_end() -> None:
    assert state() == (False, False)
    with computing():
        assert state() == (True, True)
        with external_program():
            assert state() == (False, True)
            with storing():
                assert state() == (False, False)
            assert state() == (False, True)
        assert state() == (True, True)
    assert state() == (False, False)


def test_an_error_leaves_the_context() -> None:
    with pytest.raises(ValueError, match="no"), computing():
        raise ValueError("no")
    assert state() == (False, False)
