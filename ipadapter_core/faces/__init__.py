"""The faces of a picture.

candidates.py places that may be faces; yunet.py the detector, with its weights in weights/;
first_looks.py its looks at the whole picture, close_looks.py at one face; find.py candidates ->
faces; tracking.py one person through a video; face_square.py upright crops; turned_square.py
crops that turn with the face; identity/ recognisers, and crops for them.
"""
