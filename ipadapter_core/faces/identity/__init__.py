"""The identity of a face: a recogniser's 512 numbers.

onnx_file.py a reader of ONNX files; onnx_layout.py, named_layout.py a file -> the parts of a
recogniser; parts.py parts -> weights; iresnet.py the net; recognisers.py which recogniser a file
is; alignment.py a face of a picture -> the crop that the net takes.
"""
