"""An adapter file becomes an adapter, features become tokens, tokens become keys and values - once.

checkpoint   what is this file? keys and shapes -> AdapterSpec
encoders     which image encoder is this file?
resampler    the Perceiver resampler of the plus adapters
projectors   encoder features -> image tokens, for every kind of adapter
adapter      image tokens -> key and value of every layer
blocks       where the layers are in a UNet
masks        a mask -> one weight per latent token
attention    the image's part of the attention
face         squares around faces
frame        turned squares, and the template the face adapters were trained on
yunet        a small network that sees faces
look         several looks with it, at the whole and close
faces        what they found becomes faces; one is chosen
follow       the same face through a video

Nothing here knows the host: what it needs of it (layer classes, attention) arrives as an argument.
"""
