#include <map>
#include <set>

#include "engine_error.h"
#include "models/encoders.h"
#include "models/models.h"

namespace {

using Maker = std::unique_ptr<Model> (*)(const Config&, Weights&);

/// model_type → architecture. An alias is a row of its own.
const std::map<std::string, Maker> makers = {
    {"apertus", make_apertus},
    {"bitnet", make_bitnet},
    {"cohere2", make_cohere2},
    {"deepseek_v2", make_deepseek_v2},
    {"deepseek_v3", make_deepseek_v3},
    {"dots1", make_dots1},
    {"ernie4_5", make_ernie4_5},
    {"ernie4_5_moe", make_ernie4_5_moe},
    {"exaone4", make_exaone4},
    {"gemma2", make_gemma2},
    {"gemma3", make_gemma3},
    {"gemma3_text", make_gemma3_text},
    {"gemma3n", make_gemma3n},
    {"gemma4", make_gemma4},
    {"gemma4_text", make_gemma4_text},
    {"gemma4_unified", make_gemma4},
    {"glm4", make_glm4},
    {"glm4_moe", make_glm4_moe},
    {"glm4_moe_lite", make_glm4_moe_lite},
    {"gpt_oss", make_gpt_oss},
    {"granite", make_granite},
    {"granitemoehybrid", make_granitemoehybrid},
    {"hunyuan_v1_dense", make_hunyuan_v1_dense},
    {"joyai_llm_flash", make_deepseek_v3},
    {"kimi_k2", make_deepseek_v3},
    {"kimi_k25", make_kimi_k25},
    {"kimi_linear", make_kimi_linear},
    {"kimi_vl", make_kimi_k25},
    {"lfm2", make_lfm2},
    {"lfm2_moe", make_lfm2_moe},
    {"llama", make_llama},
    {"llama4", make_llama4},
    {"llama4_text", make_llama4_text},
    {"llava", make_mistral3},
    {"mamba2", make_mamba2},
    {"minimax", make_minimax},
    {"minimax_m2", make_minimax},
    {"ministral3", make_ministral3},
    {"mistral", make_llama},
    {"mistral3", make_mistral3},
    {"mixtral", make_mixtral},
    {"nemotron_h", make_nemotron_h},
    {"olmo2", make_olmo2},
    {"olmo3", make_olmo3},
    {"olmoe", make_olmoe},
    {"phi", make_phi},
    {"phi3", make_phi3},
    {"qwen2", make_qwen2},
    {"qwen2_moe", make_qwen2_moe},
    {"qwen3", make_qwen3},
    {"qwen3_5", make_qwen3_5},
    {"qwen3_5_moe", make_qwen3_5},
    {"qwen3_moe", make_qwen3_moe},
    {"qwen3_next", make_qwen3_next},
    {"seed_oss", make_seed_oss},
    {"smollm3", make_smollm3},
    {"solar_open", make_glm4_moe},
    {"stablelm", make_stablelm},
    {"starcoder2", make_starcoder2},
};

using EncoderMaker = std::unique_ptr<Encoder> (*)(const Config&, Weights&);

/// The same for what only reads. Gemma 3 is both, as config.json says.
const std::map<std::string, EncoderMaker> encoder_makers = {
    {"bert", make_bert},
    {"gemma3_text", make_gemma3_text_encoder},
    {"modernbert", make_modernbert},
    {"roberta", make_xlm_roberta},
    {"xlm-roberta", make_xlm_roberta},
};

/// What several processes can share.
const std::set<Maker> shardable = {make_llama, make_qwen3, make_qwen3_moe};

/// Refuses more layers than any model has, before a loop over them counts so far.
void check_layer_count(const Config& config) {
  constexpr int most_layers = 10000;
  if (config.count("num_hidden_layers", 0) > most_layers) {
    refuse_config("\"num_hidden_layers\" is too large");
  }
}

void check_config(const Config& config) {
  check_layer_count(config);
  check_layer_count(config["text_config"]);
  check_layer_count(config["vision_config"]);
  if (config.has("model_file")) {
    refuse_config("\"model_file\" asks for Python code, which is not run");
  }
}

[[noreturn]] void refuse_sharing(const std::string& type) {
  throw EngineError(
      "cannot_shard", "models of the kind \"" + type + "\" cannot be shared by several processes");
}

}  // namespace

mx::array Model::read_images(const mx::array&, std::span<const SeenImage>, Cache&) const {
  throw EngineError("invalid_argument", "the model reads no images");
}

bool is_encoder(const Config& config) {
  const std::string type = config.text("model_type");
  if (!encoder_makers.contains(type)) return false;
  return !makers.contains(type) || config.boolean("use_bidirectional_attention", false);
}

std::unique_ptr<Encoder> make_encoder(const Config& config, Weights& weights) {
  check_config(config);
  const std::string type = config.text("model_type");
  if (!weights.group().is_alone()) refuse_sharing(type);
  return encoder_makers.at(type)(config, weights);
}

mx::array Encoder::classify(const mx::array&, const Texts&) const {
  throw EngineError("unsupported_task", "it has no classifier");
}

int labels_of(const Config& config) {
  constexpr int transformers_default = 2;
  const size_t named = config.values("id2label").size();
  return named > 0 ? static_cast<int>(named) : config.positive("num_labels", transformers_default);
}

std::unique_ptr<Model> make_model(const Config& whole_config, Weights& weights) {
  check_config(whole_config);
  const std::string type = whole_config.text("model_type");
  // What embeds is at times saved without what foretells tokens.
  const bool is_bare = weights.has("embed_tokens.weight");
  const Config config =
      is_bare ? whole_config.with("tie_word_embeddings", Config(true)) : whole_config;
  add_prefix(weights, "model.", "embed_tokens.weight");
  const auto maker = makers.find(type);
  if (maker == makers.end()) {
    std::string known;
    for (const std::string& name : model_types()) known += (known.empty() ? "" : ", ") + name;
    throw EngineError(
        "unknown_model_type",
        "config.json: \"model_type\" is \"" + type + "\"; known types are " + known);
  }
  if (!weights.group().is_alone() && !shardable.contains(maker->second)) refuse_sharing(type);
  std::unique_ptr<Model> model = maker->second(config, weights);
  model->group = weights.group();
  return model;
}

std::vector<std::string> model_types() {
  std::set<std::string> types;
  for (const auto& [type, maker] : makers) types.insert(type);
  for (const auto& [type, maker] : encoder_makers) types.insert(type);
  return {types.begin(), types.end()};
}
