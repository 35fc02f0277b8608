"""Settings for all tests."""

from hypothesis import settings

# a loaded machine or a first compilation is no failure
settings.register_profile("devitrify", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("devitrify")
