"""IPAdapter Doctor: the report on a node."""

from comfy_api.latest import io

from ...ipadapter_core.doctor.model_table import BASES, PURPOSES
from ...ipadapter_core.doctor.report_text import as_text
from ..notes import shown_texts
from ..sockets import KEEPS_SHOWING
from . import scan

EVERY = "every"


class IPAdapterDoctor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterDoctor",
            display_name="IPAdapter Doctor",
            category="ipadapter/inspect",
            **KEEPS_SHOWING,
            search_aliases=["missing models", "model not found", "which encoder", "check install"],
            description="Lists every installed adapter, encoder and embeds file, which of them "
            "work together, what is wrong, and what is missing, with links. The menu Extensions > "
            "IPAdapter Doctor shows the same report with downloads.",
            inputs=[
                io.Combo.Input(
                    "base_model",
                    options=[EVERY, *BASES],
                    default=EVERY,
                    tooltip="The base model you want to use: only what is missing for it is "
                    "listed.",
                ),
                io.Combo.Input(
                    "purpose",
                    options=[EVERY, *PURPOSES],
                    default=EVERY,
                    tooltip="What to take from the reference image: its look (content and style), "
                    "a face, or only the composition.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "report",
                    tooltip="The report as text that you can copy into a bug report: it has no "
                    "user names, and shows paths only below the models folder.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, base_model: str, purpose: str):
        return float("nan")  # equal to nothing: files may have come and gone

    @classmethod
    def execute(cls, base_model: str, purpose: str):
        report = scan.report()
        chosen_needs = tuple(
            need
            for need in report.needs
            if base_model in (EVERY, need.base) and purpose in (EVERY, need.purpose)
        )
        text = as_text(report, chosen_needs)
        return io.NodeOutput(text, ui=shown_texts(text))
