"""What holds for all tests: random ones are given time, since machines that run them are slow now and then."""

from hypothesis import HealthCheck, settings

settings.register_profile("lanner", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lanner")
