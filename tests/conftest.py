"""What holds for the whole suite."""

import os

from hypothesis import HealthCheck, settings

# No deadline for one example: a busy machine would fail tests that are right. `thorough` is for long runs.
settings.register_profile("default", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
