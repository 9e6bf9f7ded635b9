"""The surroundings of IPAdapter nodes in every graph of the corpus: checkpoint, texts, references,
sampler.
"""

from dataclasses import dataclass

from support.workflows.litegraph import Graph, Node, Output

SD15, SDXL, FLUX = "sd15.safetensors", "sdxl.safetensors", "flux.safetensors"
PLUS = "ip-adapter-plus_sd15.safetensors"  # here it is a .bin in a folder of its own
PLUS_XL = "ip-adapter-plus_sdxl_vit-h.safetensors"
ENCODER = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"  # here under a name that says nothing
PICTURE = ("portrait.jpg", "image")


@dataclass
class Scene:
    """The start of a graph; `show` samples a model and shows the picture."""

    graph: Graph
    model: Output
    vae: Output
    positive: Output
    negative: Output
    latent: Output

    def show(self, model: Output, batch: int = 0, **texts: Output) -> Node:
        """batch: so many pictures instead of the scene's one; texts: other conditionings."""
        latent = self.graph.add("EmptyLatentImage", 64, 64, batch)[0] if batch else self.latent
        settings = (1, "fixed", 1, 5.0, "euler", "normal", 1.0)
        inputs = {"positive": self.positive, "negative": self.negative, **texts}
        sampled = self.graph.add("KSampler", *settings, model=model, latent_image=latent, **inputs)
        displayed = self.graph.add("VAEDecode", samples=sampled[0], vae=self.vae)
        return self.graph.add("PreviewImage", images=displayed[0])


def scene(about: str, checkpoint: str = SD15, fails: tuple[str, str] | None = None) -> Scene:
    graph = Graph(about, fails)
    model, clip, vae = graph.add("CheckpointLoaderSimple", checkpoint)
    if checkpoint != SDXL:
        texts = [graph.add("CLIPTextEncode", text, clip=clip)[0] for text in ("a portrait", "dark")]
    else:  # the small SDXL has no text encoder
        texts = [graph.add("RandomConditioning", seed, "fixed", 2048)[0] for seed in (1, 2)]
    latent = graph.add("EmptyLatentImage", 64, 64, 1)[0]
    return Scene(graph, model, vae, *texts, latent)


def loaders(graph: Graph, adapter: str = PLUS, encoder: str = ENCODER) -> dict[str, Output]:
    """The two loaders that most shared graphs have, as links of an apply node."""
    return {
        "ipadapter": graph.add("IPAdapterModelLoader", adapter)[0],
        "clip_vision": graph.add("CLIPVisionLoader", encoder)[0],
    }


def picture(graph: Graph) -> Output:
    return graph.add("LoadImage", *PICTURE)[0]


def pictures(graph: Graph, count: int = 2) -> Output:
    """The reference and others in one batch."""
    batch = picture(graph)
    for number in range(1, count):
        colour = graph.add("EmptyImage", 256, 320, 1, 0x3060A0 * number % 0xFFFFFF)[0]
        batch = graph.add("ImageBatch", image1=batch, image2=colour)[0]
    return batch
