#include "bridge/load_tasks.h"

#include <span>

namespace {

// Other processes may have to be started by hand.
constexpr std::chrono::seconds patience{60};
// Between two looks for them others have their turn.
constexpr std::chrono::milliseconds glance{20};

constexpr size_t group_bytes = size_t{256} << 20;
// As mlx-lm: what the Hub likes to serve.
constexpr size_t shard_bytes = size_t{5} << 30;

Napi::Object to_js(Napi::Env env, const std::map<std::string, Quantization>& quantizations) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [path, quantization] : quantizations) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("group_size", quantization.group_size);
    entry.Set("bits", quantization.bits);
    entry.Set("mode", quantization.mode);
    object.Set(path, entry);
  }
  return object;
}

/// Numbers that a tensor stands for: none for the scales and biases of another one.
size_t count_parameters(
    const std::string& name, const mx::array& tensor,
    const std::map<std::string, Quantization>& quantizations) {
  const auto quantization = quantizations.find(name.substr(0, name.rfind('.')));
  if (quantization == quantizations.end() || name.ends_with(".bias")) return tensor.size();
  if (!name.ends_with(".weight")) return 0;
  return tensor.size() * 32 / static_cast<size_t>(quantization->second.bits);
}

size_t bytes_of(const std::vector<mx::array>& arrays) {
  size_t bytes = 0;
  for (const mx::array& a : arrays) bytes += a.nbytes();
  return bytes;
}

Napi::Object to_js(
    Napi::Env env, size_t weight_bytes, size_t vision_bytes,
    const std::vector<CacheBytes>& layers) {
  Napi::Array list = Napi::Array::New(env, layers.size());
  for (uint32_t i = 0; i < layers.size(); i++) {
    Napi::Object layer = Napi::Object::New(env);
    layer.Set("fixedBytes", static_cast<double>(layers[i].fixed));
    layer.Set("bytesPerToken", static_cast<double>(layers[i].per_token));
    if (layers[i].most_tokens > 0) layer.Set("mostTokens", layers[i].most_tokens);
    list.Set(i, layer);
  }
  Napi::Object footprint = Napi::Object::New(env);
  footprint.Set("weightBytes", static_cast<double>(weight_bytes));
  footprint.Set("visionBytes", static_cast<double>(vision_bytes));
  footprint.Set("growth", AttentionCache::growth);
  footprint.Set("layers", list);
  return footprint;
}

/// What a checkpoint holds.
struct Built {
  std::shared_ptr<const Model> model;  // none of an encoder
  std::shared_ptr<const Embedder> embedder;
  std::vector<mx::array> dense_arrays;  // that are not among the weights
};

Built build(const Config& config, Weights& weights) {
  std::vector<Dense> dense;
  Built built;
  for (const Config& layer : config.values("dense_layers")) {
    const auto& arrays = dense.emplace_back(layer).arrays();
    built.dense_arrays.insert(built.dense_arrays.end(), arrays.begin(), arrays.end());
  }
  if (is_encoder(config)) {
    const std::shared_ptr<const Encoder> encoder = make_encoder(config, weights);
    built.embedder = std::make_shared<const Embedder>(encoder, std::move(dense));
  } else {
    built.model = make_model(config, weights);
    built.embedder = std::make_shared<const Embedder>(built.model, std::move(dense));
  }
  return built;
}

/// What the caches of a model take, by layer.
std::vector<CacheBytes> cache_bytes(const Model& model) {
  Cache cache = model.make_cache();
  const uint32_t token = 0;
  const mx::array tokens = mx::from_data(std::span(&token, 1));
  const mx::array hidden = model(mx::expand_dims(tokens, 0), cache);
  std::vector<CacheBytes> layers;
  const auto add = [&](const Cache& cache) {
    for (size_t layer = 0; layer < cache.size(); layer++) layers.push_back(cache[layer].bytes());
  };
  add(cache);
  if (const auto head = model.mtp_head()) {
    Cache own = head->make_cache();
    (*head)(hidden, tokens, own);
    add(own);
  }
  return layers;
}

/// Computes some of the arrays, which are then no longer in the list: a piece of work that is short
/// enough to let others have their turn.
void eval_group(std::vector<mx::array>& arrays) {
  size_t bytes = 0;
  std::vector<mx::array> group;
  while (!arrays.empty() && bytes < group_bytes) {
    bytes += arrays.back().nbytes();
    group.push_back(std::move(arrays.back()));
    arrays.pop_back();
  }
  mx::eval(group);
}

}  // namespace

bool ReadTask::advance() {
  if (*cancelled_) throw EngineError("cancelled", "loading was cancelled");
  if (!made_) {
    if (!is_ready()) return true;
    // Tensors would settle in the larger buffers that others have left.
    mx::clear_cache();
    make();
    state_->bytes = bytes_of(unread_);
    made_ = true;
    return true;
  }
  if (!unread_.empty()) {
    eval_group(unread_);
    return true;
  }
  complete();
  if (state_->model) {
    state_->scheduler = std::make_shared<Scheduler>(state_->model);
    state_->scheduler->prefixes().set_limits(prefix_limits());
    state_->images = ImageFormat::of(*state_->model);
    state_->can_trim = state_->model->make_cache().keeps_all_tokens();
  }
  state_->vocab_size = state_->embedder->vocab_size();
  state_->labels = state_->embedder->labels();
  state_->is_encoder = state_->embedder->is_encoder();
  addon_.thread()->track(state_);
  succeed([state = std::move(state_), &addon = addon_](Napi::Env env) {
    return addon.model_class.New({to_external(env, state)});
  });
  return false;
}

bool LoadTask::advance() {
  try {
    return ReadTask::advance();
  } catch (...) {
    // Other processes would wait for this one.
    if (!group_.is_alone()) mx::leave_group();
    throw;
  }
}

bool LoadTask::is_ready() {
  if (!sharers_) return true;
  if (!joining_.valid()) {
    joining_ = mx::join(sharers_->peers);
    joining_since_ = Clock::now();
  }
  if (joining_.wait_for(glance) != std::future_status::ready) {
    if (Clock::now() - joining_since_ < patience) return false;
    throw EngineError(
        "peer_lost",
        "the other processes did not come within " + std::to_string(patience.count()) + " seconds");
  }
  group_ = joining_.get();
  group_.agree(sharers_->digest, "models, or other options for it");
  return true;
}

void LoadTask::make() {
  const auto& [config, files, conversion] = source_;
  Weights weights(config, files, conversion, group_);
  const Built built = build(config, weights);
  state_->model = built.model;
  state_->embedder = built.embedder;
  weights.finish();
  if (built.model) {
    state_->checkpoint = std::make_shared<const Checkpoint>(
        Checkpoint{config, weights.taken(), weights.quantizations()});
  }
  unread_ = weights.in_memory();
  unread_.insert(unread_.end(), built.dense_arrays.begin(), built.dense_arrays.end());
}

/// A model runs without wired memory, too, only slower when memory is short.
void LoadTask::complete() {
  const auto limit = mx::wired_limit_for(state_->bytes, mx::default_device());
  if (!limit) return;
  try {
    mx::set_wired_limit(*limit);
  } catch (const EngineError&) {
  }
}

bool MeasureTask::advance() {
  const auto& [config, files, conversion] = source_;
  Weights weights(config, files, conversion, group_);
  const auto [model, embedder, dense_arrays] = build(config, weights);
  weights.finish();
  const size_t weight_bytes = bytes_of(weights.in_memory()) + bytes_of(dense_arrays);
  const size_t vision_bytes = bytes_of(weights.deferred());
  const std::vector<CacheBytes> layers =
      model ? cache_bytes(*model) : std::vector<CacheBytes>();  // an encoder keeps nothing
  succeed([weight_bytes, vision_bytes, layers](Napi::Env env) {
    return to_js(env, weight_bytes, vision_bytes, layers);
  });
  return false;
}

void AdaptTask::make() {
  if (!base_->embedder) throw EngineError("closed", "the model is closed");
  if (base_->is_encoder) throw EngineError("unsupported_task", "an encoder takes no adapter");
  if (!base_->checkpoint) {
    throw EngineError("invalid_argument", "a model with an adapter takes no other one");
  }
  Adapter adapter(adapter_);
  unread_ = adapter.tensors();
  Weights weights(*base_->checkpoint, std::move(adapter));
  const Built built = build(base_->checkpoint->config, weights);
  state_->model = built.model;
  state_->embedder = built.embedder;
  weights.finish();
}

PrefixCache::Limits AdaptTask::prefix_limits() const {
  return base_->scheduler ? base_->scheduler->prefixes().limits() : PrefixCache::Limits();
}

bool ConvertTask::advance() {
  if (*cancelled_) throw EngineError("cancelled", "converting was cancelled");
  if (!planned_) {
    plan_shards();
  } else if (!uncomputed_.empty()) {
    eval_group(uncomputed_);
  } else {
    mx::save_safetensors(folder_ + "/" + shard_name(written_), shards_[written_]);
    shards_[written_].clear();
    written_ += 1;
    if (written_ == shards_.size()) {
      finish();
      return false;
    }
    for (const auto& [name, tensor] : shards_[written_]) uncomputed_.push_back(tensor);
  }
  return true;
}

void ConvertTask::plan_shards() {
  const auto& [config, files, conversion] = source_;
  Weights weights(config, files, conversion);
  // Its modules take and convert the tensors; the model itself is not needed.
  build(config, weights);
  weights.finish();
  quantizations_ = weights.saved_quantizations();
  size_t room = 0;
  for (const auto& [name, tensor] : weights.saved()) {
    if (name.ends_with(".output_scale")) {
      throw EngineError(
          "bad_config", "the tensor " + name + " has no place in an MLX folder: dequantize");
    }
    if (shards_.empty() || tensor.nbytes() > room) {
      shards_.emplace_back();
      room = shard_bytes;
    }
    room -= std::min(room, tensor.nbytes());
    bytes_ += tensor.nbytes();
    parameters_ += count_parameters(name, tensor, quantizations_);
    shard_of_.emplace(name, shards_.size() - 1);
    shards_.back().emplace(name, tensor);
  }
  for (const auto& [name, tensor] : shards_.front()) uncomputed_.push_back(tensor);
  planned_ = true;
}

std::string ConvertTask::shard_name(size_t shard) const {
  if (shards_.size() == 1) return "model.safetensors";
  const auto padded = [](size_t number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - std::min<size_t>(digits.size(), 5), '0') + digits;
  };
  return "model-" + padded(shard + 1) + "-of-" + padded(shards_.size()) + ".safetensors";
}

void ConvertTask::finish() {
  std::map<std::string, std::string> file_of;
  for (const auto& [name, shard] : shard_of_) file_of.emplace(name, shard_name(shard));
  succeed([file_of = std::move(file_of), quantizations = std::move(quantizations_), bytes = bytes_,
           parameters = parameters_](Napi::Env env) {
    Napi::Object weight_map = Napi::Object::New(env);
    for (const auto& [name, file] : file_of) weight_map.Set(name, file);
    Napi::Object result = Napi::Object::New(env);
    result.Set("weightMap", weight_map);
    result.Set("quantizations", to_js(env, quantizations));
    result.Set("bytes", static_cast<double>(bytes));
    result.Set("parameters", static_cast<double>(parameters));
    return result;
  });
}
