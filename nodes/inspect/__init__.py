"""Nodes that show what is applied and where.

inspect_adapters.py the applied adapters in words; watch.py attention maps; grid.py labelled grids.
"""
