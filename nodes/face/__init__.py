"""Face Crop, and the faces of references for recognisers.

node.py the node; settings.py its inputs; input_faces.py faces it is handed; search.py faces it
finds; shots.py its crops; preview.py the small pictures it shows; report.py its notes;
host_faces.py the host's boxes and landmarks; reference_faces.py the faces of references;
recogniser_files.py face recognisers on disk.
"""
