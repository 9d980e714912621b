"""The whole system on one machine: real processes, a report, and an offline replay.

Stands above the roles: it may import ``edge``, ``channel_sim`` and the synthetic
people of ``airreid.datasets``, and nothing imports it.
"""
