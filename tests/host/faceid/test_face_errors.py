"""Pictures, encoders and recognisers that do not go together: one sentence each."""

import pytest
from support.faceid import FACEID, PLUS, batch

pytestmark = pytest.mark.host


def test_other_encoders_say_what_to_use(nodes_by_id, adapters, apply_faces, installed, tiny, tower):
    adapter, _ = adapters(FACEID)
    with pytest.raises(ValueError, match="which 'clip_vision_output' does not hold: connect"):
        apply_faces(clip_vision_output=tiny.features(1))
    picture = batch("one_portrait")
    with pytest.raises(ValueError, match="encode the image with Encode Face Identity"):
        nodes_by_id["EncodeIPAdapterReference"].execute(adapter, tower, picture, 1.0, "crop")
    with pytest.raises(ValueError, match="IPAdapter Tiles cuts an image into tiles, but"):
        nodes_by_id["IPAdapterTiles"].execute(adapter, 1.0, 0.0, 1.0, "crop", tower, picture, 1)
    with pytest.raises(ValueError, match="needs CLIP ViT-H/14, but no installed file fits"):
        apply_faces(PLUS, image=picture)


def test_without_a_recogniser_one_sentence_says_what_to_install(apply_faces, models_folder):
    with pytest.raises(
        ValueError,
        match=r"needs the face recogniser w600k_r50, but none is installed: put w600k_r50\.onnx "
        r"\(IPAdapter Doctor can download it\) into models/insightface\.$",
    ):
        apply_faces(image=batch("one_portrait"))


def test_a_recogniser_of_another_space_is_refused_by_name(
    apply_faces, models_folder, recogniser_path
):
    folder = models_folder / "insightface" / "auraface"
    folder.mkdir()
    (folder / "net.safetensors").symlink_to(recogniser_path)
    with pytest.raises(
        ValueError, match=r"but 'models/insightface/auraface/net\.safetensors' is .*AuraFace, whose"
    ):
        apply_faces(image=batch("one_portrait"))


def test_a_damaged_recogniser_is_said_to_be_damaged(apply_faces, models_folder, recogniser_path):
    whole = recogniser_path.read_bytes()
    cut = models_folder / "insightface" / "w600k_r50.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"'models/insightface/w600k_r50\.safetensors' is damaged or cut off"
    ):
        apply_faces(image=batch("one_portrait"))
    cut.unlink()
    holed = bytearray(whole)
    holed[len(whole) // 2 : len(whole) // 2 + 4000] = b"\xff" * 4000
    (models_folder / "insightface" / "holed.safetensors").write_bytes(holed)
    with pytest.raises(ValueError, match=r"'models/insightface/holed\.safetensors' is damaged"):
        apply_faces(image=batch("one_portrait"))
