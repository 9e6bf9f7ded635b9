"""The corpus of graphs with old nodes.

litegraph       saved graphs as the page writes them
scenes          what every graph has around its IPAdapter nodes
graphs_*        the graphs, by release and by what they hold
make_workflows  writes them below `tests/workflows`
mutations       graphs with mistakes in them, from a seed
merged          many prompts as one
corpus          a server with models for them
"""
