"""A checkpoint file becomes an open adapter.

features.py what an adapter can take of a reference; layout.py how files name their tensors;
foreign.py files that cannot run, in words; projector_shapes.py the shapes of an image projection;
projections.py the kinds of them; families.py kinds of adapters; family_inputs.py what each takes;
lora.py the LoRA in a FaceID file; checkpoint.py keys and shapes -> AdapterSpec, once; encoders.py
keys and shapes -> EncoderSpec; stored_tensors.py whether tensors can be computed with;
projectors.py, resampler.py, time_resampler.py image features -> image tokens; module.py the adapter
itself.
"""
