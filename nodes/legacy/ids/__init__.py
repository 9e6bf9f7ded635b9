"""The nodes of old graphs, with the numbers they gave.

node_table.py every node: id, inputs, outputs; input_specs.py what an input is; old_node.py what all
nodes share. apply_nodes.py, embeds_nodes.py, image_nodes.py, loader_nodes.py, weight_lists.py nodes
of IPAdapter_plus; before_march_2024.py its first ones; laksjdjf.py, flux_nodes.py those of other
packs. old_apply.py one apply node's numbers; faceid_apply.py those with FaceID adapters;
weight_types.py its weight types; encoder_views.py its references; image_tiles.py tiles of a large
reference; adapter_link.py adapter and encoder on a link; link_checks.py what else comes over links;
face_analysis.py INSIGHTFACE links. installed_files.py, faceid_presets.py, flux_files.py files by
what they hold; old_graphs_switch.py IPAdapter Old Graphs.
"""
