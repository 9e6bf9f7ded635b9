"""An adapter file becomes an adapter, features become tokens, tokens become keys and values - once.

checkpoint   what is this file? keys and shapes -> AdapterSpec
encoders     which image encoder is this file?
resampler    the Perceiver resampler of the plus adapters
projectors   encoder features -> image tokens, for every kind of adapter
adapter      an open adapter: projection, and to_k and to_v of every layer
embeds       what the encoder saw of several references, combined
embedfile    embeds as files, older ones too
noise        noise as a negative reference
keys         image tokens -> key and value of every layer, for both sides and every frame
blocks       where the layers are in a UNet
takes        what to take of a picture, in words -> a weight for each block
curves       key frames as text -> numbers
weights      words, lists and curves -> one float per layer and moment
masks        a mask -> one weight per latent token
regions      masks of several references; a large reference cut into tiles
attention    the image's part of the attention
face         squares around faces
frame        turned squares, and the template the face adapters were trained on
yunet        a small network that sees faces
look         several looks with it, at the whole and close
faces        what they found becomes faces; one is chosen
follow       the same face through a video
table        the published model files
doctor       what is installed, wrong and missing
doctor_text  the same in words

Nothing here knows the host: what it needs of it (layer classes, attention) arrives as an argument.
"""
