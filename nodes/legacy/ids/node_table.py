"""Every old node: id, name, what to use in new graphs, inputs, outputs.

Inputs after `|` are optional. `tests/data/old_nodes.json` has the same from the packs themselves.
"""

from ...apply.settings import NODE as APPLY
from . import (
    apply_nodes,
    before_march_2024,
    embeds_nodes,
    flux_nodes,
    image_nodes,
    laksjdjf,
    loader_nodes,
    weight_lists,
)
from .apply_nodes import precise_composition, precise_style, simple, style_and_composition
from .old_node import OldNode

BATCH = f"{APPLY} with 'batch' set to one for each picture"
MAPPED = f"{APPLY} with IPAdapter Weight Map"
APPLY_FACE = f"{APPLY}, which finds the face itself"
TWO_MAPPED = f"two {MAPPED}, one for style and one for layout"
DETAIL = "Encode IPAdapter Reference with its input 'detail'"
MAPPED_STYLE = f"{MAPPED} and 'precise style'"
MAPPED_LAYOUT = f"{MAPPED} and 'precise layout'"
EMBEDS_INPUT = f"{APPLY} with its input 'embeds'"
FIT = f"the input 'fit' of {APPLY}, or ComfyUI's own image nodes"
REGIONS = "IPAdapter Region and Apply IPAdapter Regions"
TILES = "IPAdapter Tiles and Apply IPAdapter Regions"
LOADERS = "Load IPAdapter and Load CLIP Vision"
LOAD_AND_APPLY = f"Load IPAdapter and {APPLY}"
NO_FACE_LOADER = "nothing, because Face Crop has its own face detector"
XLABS_APPLY = f"{APPLY}, and KSampler with cfg 1 instead of Xlabs Sampler"
FRAME_INPUTS = f"{APPLY}'s 'frame_weights', and a batch of references"

PICTURE = "model ipadapter image"
COMBINED = "combine_embeds start_at end_at embeds_scaling"
WINDOW = "start_at end_at embeds_scaling"
SOCKETS = "| image_negative attn_mask clip_vision"
FACE_SOCKETS = f"{SOCKETS} insightface"
PRECISE_INPUTS = f"{PICTURE} weight=weight_to_5 {{}}_boost {COMBINED} {SOCKETS}"
TWO_PICTURES = (
    "model ipadapter image_style image_composition weight_style weight_composition expand_style"
)
EMBEDS_PAIR = (
    f"model ipadapter pos_embed=embeds weight weight_type {WINDOW}"
    " | neg_embed attn_mask clip_vision"
)
FIRST_TYPES = "noise weight_type=first_weight_type start_at end_at"
FIRST = f"weight {FIRST_TYPES}"
RAMP_INPUTS = (
    "weights timing frames start_frame end_frame add_starting_frames add_ending_frames"
    " method=sequence | image=frame_images"
)
MODEL_AND_FACE = "MODEL:MODEL face_image:IMAGE"
MODEL_AND_TILES = "MODEL:MODEL tiles:IMAGE masks:MASK"
MODEL_AND_ADAPTER = "model:MODEL ipadapter:IPADAPTER"
WEIGHT_LIST_OUTPUTS = (
    "weights:FLOAT weights_invert:FLOAT total_frames:INT image_1:IMAGE image_2:IMAGE"
    " weights_strategy:WEIGHTS_STRATEGY"
)

apply_pictures = apply_nodes.ApplyPictures.node
# fmt: off
OLD_NODES: list[type[OldNode]] = [
    apply_nodes.ApplySimple.node("IPAdapter", "IPAdapter", APPLY,
        f"{PICTURE} weight start_at end_at weight_type=simple_weight_type | attn_mask",
        variant=simple),
    apply_pictures("IPAdapterAdvanced", "IPAdapter Advanced", MAPPED,
        f"{PICTURE} weight=weight_to_5 weight_type {COMBINED} {SOCKETS}"),
    apply_pictures("IPAdapterBatch", "IPAdapter Batch (Adv.)", BATCH,
        f"{PICTURE} weight=weight_to_5 weight_type {WINDOW} encode_batch_size {SOCKETS}",
        by_frame=True),
    apply_pictures("IPAdapterFaceID", "IPAdapter FaceID", APPLY_FACE,
        f"{PICTURE} weight weight_faceidv2 weight_type {COMBINED} {FACE_SOCKETS}", MODEL_AND_FACE),
    apply_pictures("IPAdapterFaceIDKolors", "IPAdapter FaceID Kolors", APPLY_FACE,
        f"{PICTURE} weight weight_faceidv2 weight_kolors weight_type {COMBINED} {FACE_SOCKETS}",
        MODEL_AND_FACE),
    apply_pictures("IPAAdapterFaceIDBatch", "IPAdapter FaceID Batch", APPLY_FACE,
        f"{PICTURE} weight weight_faceidv2 weight_type {COMBINED} {FACE_SOCKETS}", MODEL_AND_FACE,
        by_frame=True),
    apply_pictures("IPAdapterStyleComposition", "IPAdapter Style & Composition SDXL", TWO_MAPPED,
        f"{TWO_PICTURES} combine_embeds=average_embeds {WINDOW} {SOCKETS}",
        variant=style_and_composition),
    apply_pictures("IPAdapterStyleCompositionBatch",
        "IPAdapter Style & Composition Batch SDXL", TWO_MAPPED,
        f"{TWO_PICTURES} {WINDOW} {SOCKETS}", by_frame=True, variant=style_and_composition),
    apply_pictures("IPAdapterMS", "IPAdapter Mad Scientist",
        f"{MAPPED}, whose 'layers' takes the same text",
        f"{PICTURE} weight=weight_to_5 weight_faceidv2 weight_type {COMBINED} layer_weights"
        f" {FACE_SOCKETS}"),
    apply_pictures("IPAdapterClipVisionEnhancer", "IPAdapter ClipVision Enhancer",
        DETAIL, f"{PICTURE} weight=weight_to_5 weight_type {COMBINED} enhance_tiles enhance_ratio"
        f" {SOCKETS}"),
    apply_pictures("IPAdapterClipVisionEnhancerBatch",
        "IPAdapter ClipVision Enhancer Batch", DETAIL,
        f"{PICTURE} weight=weight_to_5 weight_type {WINDOW} enhance_tiles enhance_ratio=half_ratio"
        f" encode_batch_size {SOCKETS}", by_frame=True),
    apply_nodes.ApplyFromParams.node("IPAdapterFromParams", "IPAdapter from Params",
        "Apply IPAdapter Regions", "model ipadapter ipadapter_params combine_embeds embeds_scaling"
        " | image_negative clip_vision"),
    apply_pictures("IPAdapterPreciseStyleTransfer", "IPAdapter Precise Style Transfer",
        MAPPED_STYLE, PRECISE_INPUTS.format("style"), variant=precise_style),
    apply_pictures("IPAdapterPreciseStyleTransferBatch", "IPAdapter Precise Style Transfer Batch",
        MAPPED_STYLE, PRECISE_INPUTS.format("style"), by_frame=True, variant=precise_style),
    apply_pictures("IPAdapterPreciseComposition", "IPAdapter Precise Composition",
        MAPPED_LAYOUT, PRECISE_INPUTS.format("composition"), variant=precise_composition),
    apply_pictures("IPAdapterPreciseCompositionBatch", "IPAdapter Precise Composition Batch",
        MAPPED_LAYOUT, PRECISE_INPUTS.format("composition"), by_frame=True,
        variant=precise_composition),
    embeds_nodes.EncodeEmbeds.node("IPAdapterEncoder", "IPAdapter Encoder",
        "Encode IPAdapter Reference",
        "ipadapter image weight=embeds_weight | mask=encoded_area clip_vision",
        "pos_embed:EMBEDS neg_embed:EMBEDS"),
    embeds_nodes.CombineEmbeds.node("IPAdapterCombineEmbeds", "IPAdapter Combine Embeds",
        "Combine IPAdapter Embeds", "embed1=embeds method=combine_method"
        " | embed2=embeds embed3=embeds embed4=embeds embed5=embeds", "EMBEDS"),
    embeds_nodes.ApplyEmbeds.node("IPAdapterEmbeds", "IPAdapter Embeds", EMBEDS_INPUT, EMBEDS_PAIR),
    embeds_nodes.ApplyEmbeds.node("IPAdapterEmbedsBatch", "IPAdapter Embeds Batch", EMBEDS_INPUT,
        EMBEDS_PAIR, by_frame=True),
    embeds_nodes.SaveEmbeds.node("IPAdapterSaveEmbeds", "IPAdapter Save Embeds",
        "Save IPAdapter Embeds", "embeds filename_prefix", ""),
    embeds_nodes.LoadEmbeds.node("IPAdapterLoadEmbeds", "IPAdapter Load Embeds",
        "Load IPAdapter Embeds", "embeds=embeds_file", "EMBEDS"),
    image_nodes.PrepareForClipVision.node("PrepImageForClipVision", "Prep Image For ClipVision",
        FIT, "image=one_image interpolation crop_position sharpening", "IMAGE"),
    image_nodes.MakeNoise.node("IPAdapterNoise", "IPAdapter Noise", "IPAdapter Negative Reference",
        "type strength blur | image_optional", "IMAGE"),
    loader_nodes.ModelLoader.node("IPAdapterModelLoader", "IPAdapter Model Loader",
        "Load IPAdapter", "ipadapter_file=adapter_file", "IPADAPTER"),
    loader_nodes.UnifiedLoader.node("IPAdapterUnifiedLoader", "IPAdapter Unified Loader", LOADERS,
        "model preset | ipadapter", MODEL_AND_ADAPTER),
    loader_nodes.FaceIDLoader.node("IPAdapterUnifiedLoaderFaceID",
        "IPAdapter Unified Loader FaceID", "Load IPAdapter",
        "model preset=faceid_preset lora_strength provider | ipadapter",
        "MODEL:MODEL ipadapter:IPADAPTER"),
    loader_nodes.CommunityLoader.node("IPAdapterUnifiedLoaderCommunity",
        "IPAdapter Unified Loader Community", LOADERS, "model preset=community_preset | ipadapter",
        MODEL_AND_ADAPTER),
    loader_nodes.InsightFaceLoader.node("IPAdapterInsightFaceLoader",
        "IPAdapter InsightFace Loader", NO_FACE_LOADER,
        "provider=first_provider model_name=insightface_model", "INSIGHTFACE"),
    apply_nodes.RegionalConditioning.node("IPAdapterRegionalConditioning",
        "IPAdapter Regional Conditioning", REGIONS,
        "image=region_image image_weight prompt_weight weight_type start_at end_at"
        " | mask=region_mask positive negative",
        "IPADAPTER_PARAMS:IPADAPTER_PARAMS POSITIVE:CONDITIONING NEGATIVE:CONDITIONING"),
    apply_nodes.CombineParams.node("IPAdapterCombineParams", "IPAdapter Combine Params", REGIONS,
        "params_1=ipadapter_params params_2=ipadapter_params | params_3=ipadapter_params"
        " params_4=ipadapter_params params_5=ipadapter_params", "IPADAPTER_PARAMS"),
    apply_nodes.ApplyTiled.node("IPAdapterTiled", "IPAdapter Tiled", TILES,
        f"{PICTURE} weight weight_type combine_embeds start_at end_at sharpening embeds_scaling"
        f" {SOCKETS}", MODEL_AND_TILES),
    apply_nodes.ApplyTiled.node("IPAdapterTiledBatch", "IPAdapter Tiled Batch", TILES,
        f"{PICTURE} weight weight_type start_at end_at sharpening embeds_scaling"
        f" encode_batch_size {SOCKETS}", MODEL_AND_TILES, by_frame=True),
    weight_lists.WeightsList.node("IPAdapterWeights", "IPAdapter Weights", FRAME_INPUTS,
        RAMP_INPUTS, WEIGHT_LIST_OUTPUTS),
    weight_lists.CombineWeights.node("IPAdapterCombineWeights", "IPAdapter Combine Weights",
        FRAME_INPUTS, "weights_1=weight_list weights_2=weight_list", "weights:FLOAT count:INT"),
    weight_lists.WeightsList.node("IPAdapterWeightsFromStrategy", "IPAdapter Weights From Strategy",
        FRAME_INPUTS, "weights_strategy | image=other_frame_images", WEIGHT_LIST_OUTPUTS),
    weight_lists.PromptSchedule.node("IPAdapterPromptScheduleFromWeightsStrategy",
        "Prompt Schedule From Weights Strategy", "a text", "weights_strategy prompt",
        "prompt_schedule:STRING"),
    # until March 2024
    before_march_2024.ApplyFirst.node("IPAdapterApply", "Apply IPAdapter (before March 2024)",
        APPLY, f"ipadapter clip_vision image model {FIRST} unfold_batch | attn_mask"),
    before_march_2024.ApplyEncodedFirst.node("IPAdapterApplyEncoded",
        "Apply IPAdapter from Encoded (before March 2024)", EMBEDS_INPUT,
        "ipadapter embeds model weight weight_type=first_weight_type start_at end_at unfold_batch"
        " | attn_mask"),
    before_march_2024.ApplyFirst.node("IPAdapterApplyFaceID",
        "Apply IPAdapter FaceID (before March 2024)", APPLY_FACE,
        f"ipadapter clip_vision insightface image model {FIRST} faceid_v2 weight_v2 unfold_batch"
        " | attn_mask"),
    before_march_2024.ApplyMaskedTiles.node("IPAdapterTilesMasked",
        "IPAdapter Masked Tiles (before March 2024)", TILES,
        f"ipadapter clip_vision image model weight=tiles_weight {FIRST_TYPES} short_side_tiles"
        " tile_weight"),
    before_march_2024.EncodeImages.node("IPAdapterEncodeImages",
        "Encode IPAdapter Image (before March 2024)",
        "Encode IPAdapter Reference and Combine IPAdapter Embeds",
        "clip_vision image_1=image ipadapter_plus noise weight_1 | image_2=image image_3=image"
        " image_4=image weight_2 weight_3 weight_4", "EMBEDS"),
    before_march_2024.BatchEmbeds.node("IPAdapterBatchEmbeds",
        "IPAdapter Batch Embeds (before March 2024)", "Combine IPAdapter Embeds",
        "embed1=embeds embed2=embeds", "EMBEDS"),
    loader_nodes.InsightFaceLoaderFirst.node("InsightFaceLoader",
        "Load InsightFace (before March 2024)", NO_FACE_LOADER, "provider=first_provider",
        "INSIGHTFACE"),
    image_nodes.PrepareForInsightFace.node("PrepImageForInsightFace",
        "Prep Image For InsightFace (before March 2024)", "Face Crop",
        "image=face_image crop_position=face_crop sharpening pad_around", "IMAGE"),
    # laksjdjf's pack
    laksjdjf.LaksjdjfLoader.node("IPAdapterLaksjdjf", "Load IPAdapter (laksjdjf)", LOAD_AND_APPLY,
        "model image clip_vision weight model_name=adapter_file dtype | mask=attn_mask",
        "MODEL CLIP_VISION_OUTPUT"),
    laksjdjf.LaksjdjfEncodedLoader.node("IPAdapterLaksjdjfSeen",
        "Load IPAdapter (laksjdjf, August 2023)", LOAD_AND_APPLY,
        "model clip_vision_output weight model_name=adapter_file dtype"),
    # for weeks in 2023, under ids that mean another node since
    before_march_2024.EncodePicture.node("IPAdapterCLIPVisionEncode",
        "CLIP Vision Encode IPAdapter (September 2023)",
            "Apply IPAdapter, which encodes the image itself",
        "clip_vision image", "CLIP_VISION_OUTPUT"),
    before_march_2024.ApplyEncoderOutput.node("IPAdapterApplySeen",
        "Apply IPAdapter (September 2023)", APPLY,
        "model ipadapter clip_vision_output weight=weight_in_tenths | mask=attn_mask"),
    image_nodes.PrepareWithWeight.node("PrepImageWithWeight",
        "Prep Image For ClipVision (before 12 October 2023)", FIT,
        "image=one_image interpolation=torch_interpolation crop_position=plain_crop sharpening"
        " add_weight", "IMAGE"),
    # XLabs' pack for FLUX.1, and Shakker-Labs'
    flux_nodes.LoadXLabs.node("LoadFluxIPAdapter", "Load Flux IPAdapter (XLabs)", "Load IPAdapter",
        "ipadatper=adapter_file clip_vision=encoder_file provider=xlabs_provider",
        "ipadapterFlux:IP_ADAPTER_FLUX"),
    flux_nodes.ApplyXLabs.node("ApplyFluxIPAdapter", "Apply Flux IPAdapter (XLabs)", XLABS_APPLY,
        "model=flux_model ip_adapter_flux image ip_scale", "MODEL:MODEL"),
    flux_nodes.ApplyXLabsAdvanced.node("ApplyAdvancedFluxIPAdapter",
        "Apply Advanced Flux IPAdapter (XLabs)",
        f"{MAPPED}; KSampler with cfg 1 instead of Xlabs Sampler",
        "model=flux_model ip_adapter_flux image begin_strength end_strength"
        " smothing_type=strength_curve", "MODEL:MODEL"),
    flux_nodes.LoadInstantX.node("IPAdapterFluxLoader", "Load IPAdapter Flux Model (InstantX)",
        "Load IPAdapter", "ipadapter=adapter_file clip_vision=siglip provider=instantx_provider",
        "ipadapterFlux:IP_ADAPTER_FLUX_INSTANTX"),
    flux_nodes.ApplyInstantX.node("ApplyIPAdapterFlux", "Apply IPAdapter Flux Model (InstantX)",
        APPLY, "model=flux_model ipadapter_flux image weight=weight_to_5"
        " start_percent=start_at end_percent=end_at"),
]
# fmt: on
BY_ID = {node.NODE_ID: node for node in OLD_NODES}
