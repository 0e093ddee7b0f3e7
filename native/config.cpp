#include "config.h"

#include <cmath>
#include <limits>

#include "engine_error.h"

namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& problem) {
  refuse_config("\"" + key + "\" " + problem);
}

/// Refuses what is no whole number from `least` on.
int to_whole(const std::string& key, double value, int least) {
  if (value < least || value > std::numeric_limits<int>::max() || value != std::floor(value)) {
    refuse(key, "must be a whole number of at least " + std::to_string(least));
  }
  return static_cast<int>(value);
}

float to_float(const std::string& key, double value) {
  if (!(std::abs(value) <= std::numeric_limits<float>::max())) refuse(key, "is too large");
  return static_cast<float>(value);
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

Config Config::with(const std::string& key, Config value) const {
  Object object = is_object() ? *std::get<std::shared_ptr<const Object>>(value_) : Object{};
  object.insert_or_assign(key, std::move(value));
  return Config(std::move(object));
}

template <typename T>
const T& Config::get(const std::string& key, const char* expected) const {
  const Config& entry = (*this)[key];
  if (entry.is_null()) refuse(key, "is missing");
  const T* value = std::get_if<T>(&entry.value_);
  if (!value) refuse(key, std::string("must be ") + expected);
  return *value;
}

int Config::positive(const std::string& key) const {
  return to_whole(key, get<double>(key, "a number"), 1);
}

int Config::positive(const std::string& key, int fallback) const {
  return has(key) ? positive(key) : fallback;
}

bool Config::is_off(const std::string& key) const {
  return is_object() && std::get<std::shared_ptr<const Object>>(value_)->contains(key) && !has(key);
}

int Config::positive_or_off(const std::string& key, int fallback) const {
  return is_off(key) ? 0 : positive(key, fallback);
}

int Config::count(const std::string& key, int fallback) const {
  return has(key) ? to_whole(key, get<double>(key, "a number"), 0) : fallback;
}

float Config::number(const std::string& key) const {
  return to_float(key, get<double>(key, "a number"));
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

float Config::positive_number_or_off(const std::string& key, float fallback) const {
  return is_off(key) ? 0.0f : positive_number(key, fallback);
}

bool Config::boolean(const std::string& key, bool fallback) const {
  return has(key) ? get<bool>(key, "true or false") : fallback;
}

std::string Config::text(const std::string& key) const { return get<std::string>(key, "a string"); }

std::string Config::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

template <typename T>
std::vector<T> Config::list_of(const std::string& key, const char* expected) const {
  std::vector<T> result;
  if (!has(key)) return result;
  for (const Config& entry : *get<std::shared_ptr<const List>>(key, expected)) {
    const T* value = std::get_if<T>(&entry.value_);
    if (!value) refuse(key, std::string("must be ") + expected);
    result.push_back(*value);
  }
  return result;
}

std::vector<std::string> Config::texts(const std::string& key) const {
  return list_of<std::string>(key, "a list of strings");
}

std::vector<float> Config::numbers(const std::string& key) const {
  std::vector<float> result;
  for (double value : list_of<double>(key, "a list of numbers")) {
    result.push_back(to_float(key, value));
  }
  return result;
}

std::vector<float> Config::limits(const std::string& key) const {
  std::vector<float> result;
  if (!has(key)) return result;
  const char* expected = "a list of numbers";
  for (const Config& entry : *get<std::shared_ptr<const List>>(key, expected)) {
    const double* value = std::get_if<double>(&entry.value_);
    const bool is_infinite = value ? *value == std::numeric_limits<double>::infinity()
                                   : entry["__float__"].value_ == Value(std::string("Infinity"));
    if (!value && !is_infinite) refuse(key, std::string("must be ") + expected);
    result.push_back(is_infinite ? std::numeric_limits<float>::infinity() : to_float(key, *value));
  }
  return result;
}

std::vector<int> Config::counts(const std::string& key) const {
  std::vector<int> result;
  for (double value : list_of<double>(key, "a list of numbers")) {
    result.push_back(to_whole(key, value, 0));
  }
  return result;
}

std::vector<bool> Config::booleans(const std::string& key) const {
  return list_of<bool>(key, "a list of true and false");
}

Config::List Config::values(const std::string& key) const {
  List result;
  if (!has(key)) return result;
  if ((*this)[key].is_list()) return *get<std::shared_ptr<const List>>(key, "a list");
  for (const auto& [name, value] : *get<std::shared_ptr<const Object>>(key, "an object")) {
    result.push_back(value);
  }
  return result;
}

void refuse_config(const std::string& problem) {
  throw EngineError("bad_config", "config.json: " + problem);
}
