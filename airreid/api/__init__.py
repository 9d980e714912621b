"""The Python API: what ``import airreid`` gives, one module for each thing that it does.

``airreid/__init__.py`` names it all and loads a module of this package when a name of it is
first used.
"""
