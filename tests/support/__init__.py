"""What tests share.

tiny        real UNet classes with small widths, here and in diffusers
short_encoders  files of encoders with few layers
compare     sizes, masks and differences
formula     image prompts computed straight from the formulas
plus_formula  IPAdapter_plus's formulas, as plain attention patches
golden_inputs, golden_world  inputs of the recordings of IPAdapter_plus, and its graphs run node by
node
arcface     face recognisers with random weights, as they are trained and exported
protobuf    messages of ONNX files, written by hand
embeds      models under encoded references
encoders    an encoder that counts its runs, and the configuration of a shallow one
pictures    photographs as the host hands them on
model_files  adapters and encoders with small tensors
faces       inputs of Face Crop, and where the faces of the photographs are
graphs      API prompts for a server, and what comes back
upgrading   prompts with old nodes, run node by node
saved_graphs  workflows as the page saves them, and whether their links hold
hub         a server that speaks the Hugging Face hub's protocol
page        the host's page in a headless Chromium
tolerance   how far apart two computations of the same thing may be
memory      the peak of every process of a run, and the limit
packs/      node packs for servers of tests
workflows/  the graphs of old nodes, as Python that writes `tests/workflows`
"""
