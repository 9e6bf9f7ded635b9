"""References and a model become a model that follows them.

apply.py, regions.py, weights.py the nodes; inputs.py inputs they share; keys.py keys and values for one model;
attention_mask.py the check of masks; frame_weights.py a weight for each frame.
"""
