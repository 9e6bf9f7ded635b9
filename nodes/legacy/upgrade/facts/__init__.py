"""What a graph says without being run.

- `graph.py`: nodes, links, who reads what
- `adapters.py`: which adapter file is connected to a node
- `faceid_loras.py`: the LoRA that a FaceID loader puts on its model
- `images.py`: number and size of images
- `embeds_content.py`: references on an EMBEDS link
- `weight_lists.py`: lists of weights, one for each frame
"""
