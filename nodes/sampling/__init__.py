"""One sampling of a model with image prompts on it.

image_prompt.py ImagePrompt and its settings; batch_rows.py which rows of a call are positive;
kept_tensors.py tensors of one sampling; model_call.py keys, values and masks for one call;
attention.py one layer; layout.py what a model is; unet.py the UNet; flux.py FLUX.1; mmdit.py Stable
Diffusion 3.5; layers.py the list of architectures, and the layers of a model; compiled.py image
parts in compiled models; run.py everything kept for one sampling; block_patches.py replacements of
whole blocks; adapter_lora.py LoRAs of adapters; patch.py the wrappers on a model.
"""
