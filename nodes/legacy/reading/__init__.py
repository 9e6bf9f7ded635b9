"""Prompts and saved graphs, read as they were meant.

prompts.py prompts, which decide alone; saved_graph.py how a saved graph writes nodes, widgets and
links; open_graph.py a saved graph when it is opened, rewritten as its prompt is read; readers.py
who reads an output; primitives.py the page's primitives; promoted.py
values that a subgraph shows; renamed_options.py options of older
releases; encoders.py which image encoder a graph needs.
"""
