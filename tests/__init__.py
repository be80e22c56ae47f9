"""The tests of the project, by area.

No random example has a deadline: how long it takes says how busy the machine is, and nothing about what is tested.
"""

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    # The client's tests run with its own packages alone, and none of them draws examples.
    pass
else:
    settings.register_profile(
        "any-machine", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any-machine")
