"""What tests share.

tiny.py            real UNet classes with small widths, here and in diffusers
tiny_flux.py       the same of FLUX.1, and adapters for it
tiny_sd3.py        the same of Stable Diffusion 3.5
unet_calls.py      what the UNet is called with while the host samples
short_encoders.py  files of encoders with few layers
compare.py         sizes, masks and differences
formula.py         image prompts computed straight from the formulas
plus_formula.py    IPAdapter_plus's formulas, as plain attention patches
instantx.py        InstantX's adapter for FLUX.1 by its formula, in diffusers' model
golden_inputs.py   inputs of the recordings of IPAdapter_plus
golden_world.py    its graphs run node by node
arcface.py         face recognisers with random weights, as they are trained and exported
protobuf.py        messages of ONNX files, written by hand
embeds.py          models under encoded references
encoders.py        an encoder that counts its runs, and the configuration of a shallow one
pictures.py        photographs as the host hands them on
model_files.py     adapters and encoders with small tensors
installed.py       installed files for the doctor, without any on the disk
faces.py           inputs of Face Crop, and where the faces of the photographs are
faceid.py          faces in batches, and what their identities have to be
graphs.py          API prompts for a server, and what comes back
upgrading.py       prompts with old nodes, run node by node
saved.py           saved graphs of a node or two, as the page writes them
saved_graphs.py    workflows as the page saves them, and whether their links hold
hub.py             a server that speaks the Hugging Face hub's protocol
page.py            the host's page in a headless Chromium
tolerance.py       how far apart two computations of the same thing may be
memory.py          the peak of every process of a run, and the limit
packs/             node packs for servers of tests
workflows/         the graphs of old nodes, as Python that writes `tests/workflows`
"""
