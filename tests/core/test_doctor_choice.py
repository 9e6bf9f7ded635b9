"""The doctor's choice: what to download first while nothing works, and what to use if much does."""

import pytest
from support.installed import BIGG, adapter, encoder

from ipadapter_core.doctor.model_table import load
from ipadapter_core.doctor.report import examine
from ipadapter_core.doctor.report_text import as_data, as_text

TABLE = load()
H = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
PLACE_H = f"{H} (2.53 GB, into models/clip_vision)"
PLUS_15 = "ip-adapter-plus_sd15.safetensors"
PLACE_15 = f"{PLUS_15} (98.2 MB, into models/ipadapter)"
PLACE_XL = "ip-adapter-plus_sdxl_vit-h.safetensors (847.5 MB, into models/ipadapter)"
FOR_XL = f"For SDXL, use {PLACE_XL} instead of {PLUS_15}."
FLUX_L = "clip-vit-large-patch14.safetensors"


@pytest.mark.parametrize(
    ("installed", "text", "files"),
    [
        (
            [],
            f"Download first, for SD1.5: {PLACE_15} and {PLACE_H}. {FOR_XL}",
            [PLUS_15, H],
        ),
        (
            [encoder()],
            f"Download first, for SD1.5: {PLACE_15}. {FOR_XL}",
            [PLUS_15],
        ),
        ([adapter("mine.bin")], f"Download first, for 'mine.bin': {PLACE_H}.", [H]),
        (
            [adapter("f.bin", "flux-ip-adapter"), encoder()],
            f"Download first, for 'f.bin': {FLUX_L} (1.71 GB, into models/clip_vision).",
            [FLUX_L],
        ),
    ],
    ids=["nothing", "an encoder", "an adapter", "a pair that does not fit"],
)
def test_while_nothing_works_the_files_to_download_first_are_named(installed, text, files):
    report = examine(installed, TABLE)
    assert report.recommendation.text == text
    assert as_data(report)["start"]["files"] == files
    assert as_text(report).splitlines()[:3] == ["IPAdapter Doctor", "", text]


def test_where_an_adapter_works_nothing_is_recommended_to_download():
    report = examine([adapter("a"), adapter("f", "flux-ip-adapter"), encoder()], TABLE)
    assert report.recommendation is None and as_data(report)["start"] is None


def test_an_encoder_of_one_base_model_recommends_an_adapter_of_that():
    report = examine([encoder("g", BIGG)], TABLE)
    assert [row.name for row in report.recommendation.published_files] == [
        "ip-adapter_sd15_vit-G.safetensors"
    ]
    assert "For SDXL, use ip-adapter_sdxl.safetensors" in report.recommendation.text


def test_among_adapters_that_work_the_one_to_start_with_comes_first_and_is_marked():
    installed = [adapter("a.bin"), adapter(PLUS_15, size=98183288), encoder("e")]
    report = examine(installed, TABLE)
    need = report.need("SD1.5", "look")
    assert [name for name, _ in need.working_pairs] == [PLUS_15, "a.bin"]
    assert f"  {PLUS_15} with e (recommended)\n  a.bin with e\n" in as_text(report)
    alone = examine(installed[1:], TABLE)
    assert "(recommended)" not in as_text(alone)
