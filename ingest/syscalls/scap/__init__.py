"""Capture files of Falco, sysdig and Stratoshark (.scap): reading those of all ages, writing what they read."""
