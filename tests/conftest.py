"""Settings for all tests."""

from hypothesis import settings

from tests.fake_vasp.fixtures import fake_vasp, fake_vasp_installation

__all__ = ["fake_vasp", "fake_vasp_installation"]

# a loaded machine or a first compilation is no failure
settings.register_profile("devitrify", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("devitrify")
