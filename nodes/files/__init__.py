"""Load IPAdapter and Load CLIP Vision.

folders.py where model files are; open_files.py opening them safely; output_file.py writing one;
file_specs.py what they are, read once; installed.py what lies in all folders; missing_files.py why
no file is found; load.py files -> adapters and encoders; twins.py which adapter a file is, of those
with equal shapes; faceid_loras.py LoRAs of FaceID adapters; node.py the two nodes.
"""
