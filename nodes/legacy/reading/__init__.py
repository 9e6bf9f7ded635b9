"""Prompts and saved graphs, read as they were meant.

prompts.py prompts, which decide alone; saved_graph.py how a saved graph writes nodes, widgets and
links; open_graph.py a saved graph when it is opened, rewritten as its prompt is read; encoders.py
which image encoder a graph needs.
"""
