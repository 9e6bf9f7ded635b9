"""What runs at each step.

image_prompt.py ImagePrompt and its settings; patch.py the wrappers on a model; attention.py one layer;
unet_rows.py which rows of a call are positive; layers.py the layers of a model.
"""
