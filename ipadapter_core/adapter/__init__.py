"""A checkpoint file becomes an open adapter.

checkpoint.py keys and shapes -> AdapterSpec, once; encoders.py keys and shapes -> EncoderSpec;
projectors.py, resampler.py image features -> image tokens; module.py the adapter itself.
"""
