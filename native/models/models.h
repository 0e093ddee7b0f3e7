#pragma once

#include "models/model.h"

/// One maker per architecture file. `weights` gives every tensor that the model needs, or notes it.
std::unique_ptr<Model> make_apertus(const Config& config, Weights& weights);
std::unique_ptr<Model> make_bitnet(const Config& config, Weights& weights);
std::unique_ptr<Model> make_cohere2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_deepseek_v2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_deepseek_v3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_dots1(const Config& config, Weights& weights);
std::unique_ptr<Model> make_ernie4_5(const Config& config, Weights& weights);
std::unique_ptr<Model> make_ernie4_5_moe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_exaone4(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma3_text(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma3n(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma4(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gemma4_text(const Config& config, Weights& weights);
std::unique_ptr<Model> make_glm4(const Config& config, Weights& weights);
std::unique_ptr<Model> make_glm4_moe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_glm4_moe_lite(const Config& config, Weights& weights);
std::unique_ptr<Model> make_gpt_oss(const Config& config, Weights& weights);
std::unique_ptr<Model> make_granite(const Config& config, Weights& weights);
std::unique_ptr<Model> make_granitemoehybrid(const Config& config, Weights& weights);
std::unique_ptr<Model> make_hunyuan_v1_dense(const Config& config, Weights& weights);
std::unique_ptr<Model> make_kimi_k25(const Config& config, Weights& weights);
std::unique_ptr<Model> make_kimi_linear(const Config& config, Weights& weights);
std::unique_ptr<Model> make_lfm2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_lfm2_moe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_llama(const Config& config, Weights& weights);
std::unique_ptr<Model> make_llama4(const Config& config, Weights& weights);
std::unique_ptr<Model> make_llama4_text(const Config& config, Weights& weights);
std::unique_ptr<Model> make_mamba2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_minimax(const Config& config, Weights& weights);
std::unique_ptr<Model> make_ministral3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_mistral3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_mixtral(const Config& config, Weights& weights);
std::unique_ptr<Model> make_nemotron_h(const Config& config, Weights& weights);
std::unique_ptr<Model> make_olmo2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_olmo3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_olmoe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_phi(const Config& config, Weights& weights);
std::unique_ptr<Model> make_phi3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen2(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen2_moe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen3_5(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen3_moe(const Config& config, Weights& weights);
std::unique_ptr<Model> make_qwen3_next(const Config& config, Weights& weights);
std::unique_ptr<Model> make_seed_oss(const Config& config, Weights& weights);
std::unique_ptr<Model> make_smollm3(const Config& config, Weights& weights);
std::unique_ptr<Model> make_stablelm(const Config& config, Weights& weights);
std::unique_ptr<Model> make_starcoder2(const Config& config, Weights& weights);
