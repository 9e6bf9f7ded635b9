"""What the doctor says of face recognisers and of the adapters that need one."""

import pytest
from support.installed import adapter, encoder, installed_file, spec

from ipadapter_core.doctor.model_table import load
from ipadapter_core.doctor.report import examine
from ipadapter_core.doctor.report_text import as_data, as_text
from ipadapter_core.faces.identity.recognisers import PUBLISHED_RECOGNISERS, RecogniserSpec

TABLE, GLINT = load(), RecogniserSpec("IResNet100", "glintr100")


def recogniser(space, net="IResNet50", name="any.onnx"):
    content = RecogniserSpec(net, space)
    return installed_file(f"insightface/{name}", 174383860, content=content)


DOWNLOAD = (
    "download 'w600k_r50.onnx' (174.4 MB, licence: non-commercial research) into models/insightface"
)
DAMAGED = installed_file("insightface/r50.onnx", fault="is cut off")


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ([], "none is installed"),
        (
            [recogniser("AuraFace", "IResNet100", "glintr100.onnx")],
            "'glintr100.onnx' is IResNet100 (AuraFace, whose embeddings no FaceID adapter knows)",
        ),
        ([DAMAGED], "'r50.onnx' cannot be used (delete it)"),
        (
            [recogniser("glintr100", "IResNet100", "g.onnx"), DAMAGED],
            "'g.onnx' is IResNet100 (glintr100 of antelopev2, for InstantID and Kolors FaceID), "
            "'r50.onnx' cannot be used (delete it)",
        ),
    ],
)
def test_a_face_adapter_without_its_recogniser_is_a_problem(installed, words):
    report = examine([adapter("a", "ip-adapter-faceid_sd15"), *installed], TABLE)
    (entry,) = report.of("adapter")
    assert entry.advice == f"needs the face recogniser w600k_r50, but {words}: {DOWNLOAD}"
    assert "no installed face recogniser fits" in as_text(report)
    need = report.need("SD1.5", "face")
    assert [row.name for row in need.missing] == ["w600k_r50.onnx"]


def test_a_face_adapter_with_all_it_needs_follows_a_face():
    parts = [recogniser("w600k_r50"), encoder("h")]
    for kind, partners in (
        ("ip-adapter-faceid_sd15", ["any.onnx"]),
        ("ip-adapter-faceid-plusv2_sd15", ["h", "any.onnx"]),
    ):
        report = examine([adapter("a", kind), *parts], TABLE)
        assert f"to follow a face: ready\n  a with {' and '.join(partners)}" in as_text(report)
        (need,) = (need for need in as_data(report)["needs"] if need["there"])
        (pair,) = need["there"]
        assert (pair["adapter"], pair["partners"]) == ("a", partners)
    missing = examine([adapter("a", kind)], TABLE).need("SD1.5", "face").missing
    assert [row.kind for row in missing] == ["encoder", "recogniser"]


@pytest.mark.parametrize("space", ["w600k_r50", None])
def test_a_face_adapter_works_with_its_recogniser(space):
    report = examine([adapter("a", "ip-adapter-faceid_sd15"), recogniser(space)], TABLE)
    assert report.problems == []
    assert "works with any.onnx" in as_text(report)
    files = {file["kind"]: file for file in as_data(report)["files"]}
    assert (files["adapter"]["works_with"], files["adapter"]["missing"]) == (["any.onnx"], "")
    assert files["recogniser"]["usable"] is True


def test_a_plus_face_adapter_needs_encoder_and_recogniser():
    parts = [adapter("a", "ip-adapter-faceid-plusv2_sd15"), recogniser("w600k_r50"), encoder("h")]
    assert "works with h, any.onnx" in as_text(examine(parts, TABLE))
    assert "no installed encoder fits" in as_text(examine(parts[:2], TABLE))
    assert "no installed face recogniser fits" in as_text(examine([parts[0], parts[2]], TABLE))


def test_the_published_recogniser_is_known_by_content_and_a_damaged_one_by_name():
    report = examine([recogniser("w600k_r50", name="w600k_r50.onnx")], TABLE)
    (entry,) = report.entries
    assert entry.published_file.name == "w600k_r50.onnx"
    assert [row["name"] for row in as_data(report)["table"] if row["there"]] == ["w600k_r50.onnx"]
    cut = installed_file("insightface/w600k_r50.onnx", fault="is cut off")
    (entry,) = examine([cut], TABLE).entries
    assert entry.advice == "is cut off ('w600k_r50.onnx' has 174.4 MB)"


def test_the_recognisers_of_the_table_are_those_that_are_known_by_their_hash():
    rows = {row.size: (row.sha256, row.name.removesuffix(".onnx")) for row in TABLE}
    known = [
        (size, PUBLISHED_RECOGNISERS[size]) for size in rows.keys() & PUBLISHED_RECOGNISERS.keys()
    ]
    assert sorted(space for _, (_, space) in known) == ["glintr100", "w600k_r50"]
    assert all(rows[size] == hash_and_space for size, hash_and_space in known)
    glint = installed_file("insightface/a.onnx", 260665334, content=GLINT)
    assert examine([glint], TABLE).entries[0].published_file is None
    glint = installed_file("insightface/glintr100.onnx", 260665334, content=GLINT)
    assert examine([glint], TABLE).entries[0].published_file.name == "glintr100.onnx"


def test_what_is_not_free_to_use_has_terms():
    with_terms = {row.name for row in TABLE if row.terms}
    assert with_terms == {row.name for row in TABLE if "non-commercial" in row.licence}
    assert {"w600k_r50.onnx", "glintr100.onnx", "ip-adapter-faceid_sd15.bin"} <= with_terms


def test_both_files_of_instantid_are_offered_and_known():
    names = ["ip-adapter-instantid_sdxl.bin", "instantid-controlnet.safetensors"]
    rows = {row["name"]: row for row in as_data(examine([], TABLE))["table"]}
    for name, folder in zip(names, ("ipadapter", "controlnet"), strict=True):
        row = rows[name]
        assert (row["folder"], row["runs"], row["there"]) == (folder, True, False)
        assert row["link"].startswith("https://huggingface.co/InstantX/InstantID/resolve/main/")
    content = spec("ip-adapter-faceid-portrait_sdxl_unnorm", "InstantID")
    files = [
        installed_file("ipadapter/ip-adapter.bin", 1691134141, content=content),
        installed_file(f"controlnet/{names[1]}", 2502139136),
    ]
    report = examine(files, TABLE)
    assert [row["name"] for row in as_data(report)["table"] if row["there"]] == names
    (problem,) = report.problems
    assert "needs the face recogniser glintr100" in problem.advice
    assert report.need("SDXL", "face").missing[0].name == "glintr100.onnx"
