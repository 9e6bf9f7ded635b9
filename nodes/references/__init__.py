"""Reference images become References.

encode.py one run of the host's encoder; siglip.py SigLIP's pooling head, which the host leaves out;
side_inputs.py the positive and negative inputs of a node; face_identity.py faces of images become
embeddings; pair.py whether an encoder's output fits an adapter; boxes.py a part of an image; fit.py
how it becomes square; reference.py, several_references.py, identity_node.py, negative_reference.py
and embeds.py the nodes about embeds.
"""
