#include "config.h"

#include <cmath>
#include <limits>

#include "engine_error.h"

namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& problem) {
  throw EngineError("bad_config", "config.json: \"" + key + "\" " + problem);
}

const Config null_config;

}  // namespace

const Config& Config::operator[](const std::string& key) const {
  if (!is_object()) return null_config;
  const Object& object = *std::get<std::shared_ptr<const Object>>(value_);
  const auto found = object.find(key);
  return found == object.end() ? null_config : found->second;
}

bool Config::has(const std::string& key) const { return !(*this)[key].is_null(); }

template <typename T>
const T& Config::get(const std::string& key, const char* expected) const {
  const Config& entry = (*this)[key];
  if (entry.is_null()) refuse(key, "is missing");
  const T* value = std::get_if<T>(&entry.value_);
  if (!value) refuse(key, std::string("must be ") + expected);
  return *value;
}

int Config::positive(const std::string& key) const {
  const double value = get<double>(key, "a number");
  if (value < 1 || value > std::numeric_limits<int>::max() || value != std::floor(value)) {
    refuse(key, "must be a whole number of at least 1");
  }
  return static_cast<int>(value);
}

int Config::positive(const std::string& key, int fallback) const {
  return has(key) ? positive(key) : fallback;
}

float Config::number(const std::string& key) const {
  const double value = get<double>(key, "a number");
  if (!(std::abs(value) <= std::numeric_limits<float>::max())) refuse(key, "is too large");
  return static_cast<float>(value);
}

float Config::number(const std::string& key, float fallback) const {
  return has(key) ? number(key) : fallback;
}

float Config::positive_number(const std::string& key) const {
  const float value = number(key);
  if (value <= 0) refuse(key, "must be above 0");
  return value;
}

float Config::positive_number(const std::string& key, float fallback) const {
  return has(key) ? positive_number(key) : fallback;
}

bool Config::boolean(const std::string& key, bool fallback) const {
  return has(key) ? get<bool>(key, "true or false") : fallback;
}

std::string Config::text(const std::string& key) const { return get<std::string>(key, "a string"); }

std::string Config::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::vector<std::string> Config::texts(const std::string& key) const {
  std::vector<std::string> result;
  if (!has(key)) return result;
  for (const Config& entry : *get<std::shared_ptr<const List>>(key, "a list of strings")) {
    const std::string* value = std::get_if<std::string>(&entry.value_);
    if (!value) refuse(key, "must be a list of strings");
    result.push_back(*value);
  }
  return result;
}
