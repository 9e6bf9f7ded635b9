"""The faces of a picture.

yunet.py the detector, with its weights in weights/; close_looks.py several looks at one face; find.py candidates ->
faces; tracking.py one person through a video; face_square.py upright crops; turned_square.py crops that turn with the face.
"""
