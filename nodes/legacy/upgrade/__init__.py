"""Old nodes of a graph become new nodes. Nothing else imports this folder.

- `prompt.py`, `workflow.py`: the two formats of a graph, API prompts and saved workflows
- `canvas.py`: a saved workflow while it is redrawn
- `planning.py`: a plan for each old node, where all that must change together changes
- `plan.py`, `links.py`: plans and links as data
- `plans/`: what each old node becomes
- `facts/`: what a graph says without being run
- `readable.py`: which parts of a malformed graph can be read
- `report.py`: lines of the report, and reasons why a node stays
"""
