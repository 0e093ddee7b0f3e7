#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

/// A parsed config.json as a read-only tree. Every getter names the key it wanted in its error
/// (`EngineError`, code "bad_config"), so a model file needs no checks of its own.
class Config {
 public:
  using List = std::vector<Config>;
  using Object = std::map<std::string, Config>;

  Config() = default;  // null
  explicit Config(bool value) : value_(value) {}
  explicit Config(int value) : value_(static_cast<double>(value)) {}
  explicit Config(double value) : value_(value) {}
  explicit Config(std::string value) : value_(std::move(value)) {}
  explicit Config(List value) : value_(std::make_shared<const List>(std::move(value))) {}
  explicit Config(Object value) : value_(std::make_shared<const Object>(std::move(value))) {}

  /// Whether the key is there and not null.
  bool has(const std::string& key) const;
  /// The value under a key; null when it is absent.
  const Config& operator[](const std::string& key) const;

  /// This object with another value under a key.
  Config with(const std::string& key, Config value) const;

  /// A size: a whole number from 1 to 2^31 − 1.
  int positive(const std::string& key) const;
  int positive(const std::string& key, int fallback) const;
  /// A size that null turns off: it is 0 then.
  int positive_or_off(const std::string& key, int fallback) const;
  /// A count: a whole number from 0 to 2^31 − 1.
  int count(const std::string& key, int fallback) const;
  float number(const std::string& key) const;
  float number(const std::string& key, float fallback) const;
  /// A number above 0.
  float positive_number(const std::string& key) const;
  float positive_number(const std::string& key, float fallback) const;
  /// A number above 0 that null turns off: it is 0 then.
  float positive_number_or_off(const std::string& key, float fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  /// Lists; empty when the key is absent.
  std::vector<std::string> texts(const std::string& key) const;
  std::vector<float> numbers(const std::string& key) const;
  /// Numbers that may be infinite: Infinity, or {"__float__": "Infinity"} as transformers 5 writes
  /// it.
  std::vector<float> limits(const std::string& key) const;
  /// Whole numbers from 0 to 2^31 − 1.
  std::vector<int> counts(const std::string& key) const;
  std::vector<bool> booleans(const std::string& key) const;
  /// The values of a list, or of an object, whatever their keys; none when it is absent.
  List values(const std::string& key) const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  /// Whether this is the value `false`.
  bool is_false() const { return value_ == Value(false); }
  bool is_text() const { return std::holds_alternative<std::string>(value_); }
  bool is_boolean() const { return std::holds_alternative<bool>(value_); }
  bool is_list() const { return std::holds_alternative<std::shared_ptr<const List>>(value_); }
  bool is_object() const { return std::holds_alternative<std::shared_ptr<const Object>>(value_); }

 private:
  using Value = std::variant<
      std::monostate, bool, double, std::string, std::shared_ptr<const List>,
      std::shared_ptr<const Object>>;

  /// Whether the key is there with null as its value.
  bool is_off(const std::string& key) const;
  template <typename T>
  const T& get(const std::string& key, const char* expected) const;
  template <typename T>
  std::vector<T> list_of(const std::string& key, const char* expected) const;

  Value value_;
};

/// Throws "bad_config": the problem of config.json.
[[noreturn]] void refuse_config(const std::string& problem);

/// The most that a product of sizes may be: far inside an int, and more than any layer is wide.
inline constexpr int64_t most_width = 1 << 24;
