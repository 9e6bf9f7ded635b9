"""An adapter file becomes an adapter, features become tokens, tokens become keys and values.

The whole of IP-Adapter without the host: torch and the standard library only.

adapter/     a checkpoint file -> an open adapter
references/  image features of reference images: combining, files, noise
weights/     words, lists and curves -> one float for each layer and moment
attention/   keys and values, masks, and what is added to the attention of a layer
faces/       finding faces, crops around them, and who they are
doctor/      the published files, and a report on those that are installed
messages.py  texts that can be translated, and the two kinds of errors
operations.py  the layer classes that nets are built from
"""
