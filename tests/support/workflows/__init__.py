"""The corpus of graphs with old nodes.

litegraph.py       saved graphs as the page writes them
scenes.py          what every graph has around its IPAdapter nodes
graphs_*.py        the graphs, by release and by what they hold
make_workflows.py  writes them below `tests/workflows`
mutations.py       graphs with mistakes in them, from a seed
merged.py          many prompts as one
corpus.py          a server with models for them
"""
