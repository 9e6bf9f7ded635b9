"""What an image encoder made of reference images.

images.py the images themselves; embeds.py References and the ways to combine them;
embeds_file.py embeds files, today's and older formats; noise.py noise as a negative reference;
siglip_head.py SigLIP's pooling head, which the host leaves out.
"""
