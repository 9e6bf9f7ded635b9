"""What is added to the attention of a layer.

keys.py image tokens -> KeysValues; scaling.py what of them a weight multiplies; timed_keys.py
those that depend on the timestep; image_part.py equation 5 of the paper;
masks.py a mask on the grid of a layer; regions.py several masks, and tiles.
"""
