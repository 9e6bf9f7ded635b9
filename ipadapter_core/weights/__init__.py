"""Words, lists and curves become one float for each layer and moment.

blocks.py where the cross-attention layers of a UNet are; presets.py a word -> a weight for each
block; curves.py keyframes as text -> numbers; weight_map.py WeightMap, which joins the three.
"""
