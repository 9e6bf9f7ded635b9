"""IPAdapter Old Graphs: IPAdapter_plus's numbers or the paper's, for old nodes behind it."""

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...sampling.image_prompt import transformer_options

NODE_ID = "IPAdapterOldGraphs"
OLD_GRAPHS_OPTION = "ipadapter_old_graphs"  # in transformer_options
AS_BEFORE, PAPER = "as IPAdapter_plus", "paper"


class IPAdapterOldGraphs(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id=NODE_ID,
            display_name="IPAdapter Old Graphs",
            category="ipadapter/old graphs",
            search_aliases=["ipadapter plus", "middle block", "compatibility"],
            description=(
                "Sets how the old IPAdapter nodes that come after it compute: as in "
                "IPAdapter_plus, or as in the paper. The new nodes always follow the paper."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The SD1.5 or SDXL model."),
                io.Combo.Input(
                    "behaviour",
                    options=[AS_BEFORE, PAPER],
                    default=PAPER,
                    tooltip=(
                        "paper: the middle block takes part; in the negative conditioning, plus "
                        "adapters get their unconditional embeds instead of a black image; masks "
                        "are placed exactly; 'norm average' normalises each reference."
                    ),
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The model, for old apply nodes.")],
        )

    @classmethod
    def execute(cls, model: ModelPatcher, behaviour: str) -> io.NodeOutput:
        model = model.clone()
        transformer_options(model)[OLD_GRAPHS_OPTION] = behaviour
        return io.NodeOutput(model)


def follows_paper(model: ModelPatcher) -> bool:
    """Whether IPAdapter Old Graphs upstream asks for the paper's behaviour."""
    return transformer_options(model).get(OLD_GRAPHS_OPTION) == PAPER
