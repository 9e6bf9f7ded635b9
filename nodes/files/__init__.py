"""Load IPAdapter and Load CLIP Vision.

folders.py where model files are; open_files.py opening them safely; load.py files -> adapters and
encoders; node.py the two nodes.
"""
