"""Nodes that show what is applied and where, and compare it.

inspect_adapters.py the applied adapters in words; watch.py attention maps; grid.py labelled grids;
compare.py a grid of weights and tasks or adapters in one node, compare_inputs.py its inputs,
comparison.py the lists that are typed there.
"""
