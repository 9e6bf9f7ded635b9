"""References and a model become a model that follows them.

image_prompt_node.py, apply.py, regions.py, tiles.py, weights.py and face_tokens.py the nodes;
plan.py what the first one decides; settings.py the widgets of the second; inputs.py inputs that
they share; attention_mask.py the check of masks; frame_weights.py a weight for each frame; keys.py
keys and values for one model; text_projection.py those of Kolors' FaceID; lora.py the LoRA of a
FaceID adapter; tasks.py what is taken, in one word.
"""
