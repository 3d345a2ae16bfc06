"""How small the sizes of configurations become, by name; and what single families need besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _named(size: int, names: str) -> dict[str, int]:
    return dict.fromkeys(names.split(), size)


# a number of one of these names becomes at most this
SIZES: Mapping[str, int] = {
    **_named(32, "hidden_size d_model n_embd dim emb_dim model_dim width pooler_hidden_size out_hidden_size"),
    **_named(32, "word_embed_proj_dim input_embedding_size output_embedding_size"),
    **_named(32, "projection_dim lru_width entity_emb_size d_latents embedding_dim pooler_output_size projection_size"),
    **_named(32, "true_hidden_size intra_bottleneck_size encoder_hidden_size cross_attention_hidden_size output_dim"),
    **_named(
        32,
        "prediction_head_size hidden_size_global backbone_hidden_size decoder_hidden_size",
    ),
    **_named(
        32,
        "adapter_out_dim adapter_in_dim adapter_input_size",
    ),
    **_named(24, "embed_dim"),
    **_named(8, "mamba_n_heads mamba_num_heads n_mamba_heads"),
    **_named(0, "num_kv_shared_layers num_nextn_predict_layers"),
    **_named(64, "mamba_d_ssm"),
    **_named(8, "attention_window"),
    **_named(16, "embedding_size hidden_size_per_layer_input embedding_rank"),
    **_named(2, "num_hidden_layers num_layers n_layers n_layer encoder_layers decoder_layers num_decoder_layers depth"),
    **_named(2, "num_encoder_layers num_self_attends_per_block l_layers x_layers r_layers speech_encoder_layers"),
    **_named(2, "t2u_encoder_layers t2u_decoder_layers num_global_layers n_layers_decoder conf_num_hidden_layers"),
    **_named(4, "num_attention_heads n_heads n_head num_heads encoder_attention_heads decoder_attention_heads"),
    **_named(4, "num_self_attention_heads num_cross_attention_heads num_encoder_attention_heads attention_heads"),
    **_named(4, "num_decoder_attention_heads speech_encoder_attention_heads swa_num_attention_heads index_n_heads"),
    **_named(
        4, "t2u_encoder_attention_heads t2u_decoder_attention_heads conf_num_attention_heads linear_num_value_heads"
    ),
    **_named(2, "num_key_value_heads num_kv_heads swa_num_key_value_heads linear_num_key_heads num_query_groups"),
    **_named(8, "head_dim d_kv d_head kv_channels attention_head_size v_head_dim qk_nope_head_dim qk_rope_head_dim"),
    **_named(8, "swa_head_dim linear_key_head_dim linear_value_head_dim linear_head_dim index_head_dim dim_head"),
    **_named(16, "kv_lora_rank q_lora_rank o_lora_rank laurel_rank adapter_rank qk_head_dim hc_lowrank index_topk"),
    **_named(8, "rotary_dim mamba_d_head mamba_headdim mamba_head_dim mamba_d_state ssm_state_size state_size"),
    **_named(48, "intermediate_size hidden_dim d_ff d_inner encoder_ffn_dim decoder_ffn_dim ffn_dim dff dim_ff"),
    **_named(48, "ffn_hidden_size feed_forward_size moe_intermediate_size shared_expert_intermediate_size mlp_dim"),
    **_named(48, "dense_intermediate_size intermediate_size_mlp shared_intermediate_size expert_ffn_hidden_size"),
    **_named(
        48, "moe_shared_expert_intermediate_size shared_experts_intermediate_size speech_encoder_intermediate_size"
    ),
    **_named(48, "t2u_encoder_ffn_dim t2u_decoder_ffn_dim"),
    **_named(4, "num_experts n_routed_experts num_local_experts moe_num_experts zero_expert_num"),
    **_named(2, "num_experts_per_tok num_experts_per_token moe_topk moe_top_k moe_k"),
    **_named(1, "n_group topk_group num_expert_group topk_groups n_groups mamba_n_groups mamba_ngroups"),
    **_named(64, "max_position_embeddings n_positions n_ctx max_source_positions max_target_positions context_length"),
    **_named(64, "max_seq_len model_max_length left_max_position_embeddings max_encoder_position_embeddings"),
    **_named(64, "max_decoder_position_embeddings original_max_position_embeddings t2u_max_position_embeddings"),
    **_named(64, "max_2d_position_embeddings entity_vocab_size ngram_vocab_size_base pronunciation_vocab_size"),
    **_named(64, "shape_vocab_size encoder_hash_byte_group_vocab speaker_vocab_size num_hash_buckets"),
    **_named(
        32, "pronunciation_embed_dim shape_embed_dim max_xpath_subs_unit_embeddings max_xpath_tag_unit_embeddings"
    ),
    **_named(16, "num_latents sliding_window attention_window_size local_attention ple_embed_dim"),
    **_named(32, "image_size"),
    **_named(8, "patch_size"),
    **_named(64, "vocab_size_per_layer_input"),
}

Stage = Callable[[int, int], int]
_WIDTHS = (32, 32, 64, 64, 64, 64, 64, 64)


def _width(i: int, value: int) -> int:
    return min(value, _WIDTHS[min(i, 7)])


# a list of numbers of one of these names becomes this, stage by stage
STAGES: Mapping[str, Stage] = {
    **dict.fromkeys(
        ("depths", "depth", "num_block_repeats", "stage_numb_of_layers", "stage_num_blocks"), lambda i, v: 1
    ),
    "n_attn_blocks": lambda i, v: 1,
    **dict.fromkeys(("hidden_sizes", "embed_dims"), _width),
}

_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}

# what single families need besides, or why one cannot be built; an Ellipsis takes a size of the generic table back
OWN: Mapping[str, Mapping[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "bit": {"num_groups": 8},
    "bros": {"dim_bbox_sinusoid_emb_2d": ...},
    "cohere_compass_text": {"rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), _ROPE)},
    "cvt": {"depth": ...},
    "deepseek_v2": {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "donut-swin": {"image_size": ..., "patch_size": ...},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "efficientnet": {"hidden_dim": ...},
    "funnel": {"block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "hgnet_v2": {"hidden_sizes": ...},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4},
    "led": {"attention_window": 8},
    "levit": {"patch_size": ..., "image_size": 128},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "lilt": {"hidden_size": 48},
    "longformer": {"attention_window": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "markuplm": {"max_xpath_tag_unit_embeddings": ..., "max_xpath_subs_unit_embeddings": ...},
    "mobilevit": {"image_size": 128},
    "mobilevitv2": {"image_size": 128},
    "neomme": {"head_dim": 16},
    "perceiver": {"num_cross_attention_heads": 1},
    "pvt": {"hidden_sizes": ...},
    "pvt_v2": {"hidden_sizes": ...},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"]},
    "squeezebert": {"embedding_size": 32},
    "swin": {"image_size": ..., "patch_size": ...},
    "textnet": {"hidden_sizes": ..., "image_size": [64, 64]},
    "xmod": {"default_language": "en_XX"},
    "xlstm": {"hidden_size": 512, "embedding_dim": 512},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
}

# the parts that a configuration does not make by itself
PARTS: Mapping[str, Mapping[str, Any]] = {}
