// SPDX-License-Identifier: BSD-2-Clause
#include "service/state_parse.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace weir::service {
namespace {

using nlohmann::ordered_json;

// Receives the events of nlohmann's parser. Its own filter, parse() with a function, looks through
// all of an array again for each object that ends in it.
class Document {
 public:
  explicit Document(std::vector<RuleState>& rules) : rules_(rules) {}

  ordered_json take() { return std::move(root_); }

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(std::int64_t value) { return put(value); }
  bool number_unsigned(std::uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& /*text*/) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(ordered_json::binary_t& value) { return put(ordered_json::binary(value)); }

  bool start_object(std::size_t /*size*/) { return open(ordered_json::object()); }
  bool start_array(std::size_t /*size*/) { return open(ordered_json::array()); }
  bool key(std::string& name) {
    member_ = &(*open_.back())[name];
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool end_object() {
    ordered_json& object = *open_.back();
    open_.pop_back();
    // Nothing else has counters.
    if (!object.contains("counters")) return true;
    rules_.push_back(rule_from_json(object));
    object = rules_.size() - 1;
    return true;
  }

  template <typename Exception>
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const Exception& exception) {
    throw exception;
  }

 private:
  // Where the value has come to.
  ordered_json& place(ordered_json value) {
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_object()) return *member_ = std::move(value);
    return open_.back()->emplace_back(std::move(value));
  }
  bool put(ordered_json value) {
    place(std::move(value));
    return true;
  }
  bool open(ordered_json value) {
    open_.push_back(&place(std::move(value)));
    return true;
  }

  std::vector<RuleState>& rules_;
  ordered_json root_;
  std::vector<ordered_json*> open_;  // objects and arrays around what comes next
  ordered_json* member_ = nullptr;   // of the innermost object
};

}  // namespace

ordered_json parse_state(std::string_view text, std::vector<RuleState>& rules) {
  Document document(rules);
  ordered_json::sax_parse(text, &document);
  return document.take();
}

}  // namespace weir::service
