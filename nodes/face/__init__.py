"""Face Crop.

node.py the node; settings.py its inputs; given.py faces it is handed; search.py faces it finds; results.py its crops.
"""
