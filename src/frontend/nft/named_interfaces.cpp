// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/named_interfaces.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "frontend/nft/script_tokens.h"

namespace weir::frontend::nft {
namespace {

using nlohmann::json;

class Names {
 public:
  // "eth0" or "eth0,eth1," as the words of a list come.
  void add(std::string_view words) {
    while (!words.empty()) {
      const std::size_t comma = std::min(words.find(','), words.size());
      const std::string name(words.substr(0, comma));
      words.remove_prefix(std::min(comma + 1, words.size()));
      if (name.empty() || name == "lo" || name.starts_with('$')) continue;
      if (std::ranges::find(names_, name) == names_.end()) names_.push_back(name);
    }
  }

  // Every string that is not the name of a member.
  void add_strings(const json& node) {
    if (node.is_string()) add(node.get<std::string>());
    if (node.is_structured()) {
      for (const json& child : node) add_strings(child);
    }
  }

  std::vector<std::string> take() { return std::move(names_); }

 private:
  std::vector<std::string> names_;
};

const json* member(const json& node, const char* name) {
  if (!node.is_object()) return nullptr;
  const auto found = node.find(name);
  return found == node.end() ? nullptr : &*found;
}

bool is_interface_key(const json* expression) {
  const json* meta = expression == nullptr ? nullptr : member(*expression, "meta");
  const json* key = meta == nullptr ? nullptr : member(*meta, "key");
  return key != nullptr && (*key == "iif" || *key == "oif");
}

// The name of an interface, or {"map": {"key": ..., "data": {"set": [[..., name], ...]}}}.
void collect_target(const json& target, Names& names) {
  if (target.is_string()) names.add_strings(target);
  const json* map = member(target, "map");
  const json* data = map == nullptr ? nullptr : member(*map, "data");
  const json* set = data == nullptr ? nullptr : member(*data, "set");
  for (const json& pair : set == nullptr ? json::array() : *set) {
    if (pair.is_array() && !pair.empty()) names.add_strings(pair.back());
  }
}

// {"fwd": {"dev": ...}}, {"dup": {"addr": ...}}: devices of chains that have some.
void collect_targets(const json& node, Names& names) {
  const json* forward = member(node, "fwd");
  const json* duplicate = member(node, "dup");
  const json* out = forward != nullptr     ? member(*forward, "dev")
                    : duplicate != nullptr ? member(*duplicate, "addr")
                                           : nullptr;
  if (out != nullptr) collect_target(*out, names);
}

// {"left": {"meta": {"key": "iif"}}, "right": ...}, {"key": ..., "data": ...} of maps, and elements
// of sets of type iface_index.
void collect_interfaces(const json& node, Names& names) {
  if (!node.is_structured()) return;
  const json* right = member(node, "right");
  const json* data = member(node, "data");
  const json* type = member(node, "type");
  const json* elements = member(node, "elem");
  if (right != nullptr && is_interface_key(member(node, "left"))) names.add_strings(*right);
  if (data != nullptr && is_interface_key(member(node, "key"))) {
    const json* set = member(*data, "set");
    for (const json& pair : set == nullptr ? json::array() : *set) {
      if (pair.is_array() && !pair.empty()) names.add_strings(pair.front());
    }
  }
  if (elements != nullptr && type != nullptr && *type == "iface_index") {
    for (const json& element : *elements) {
      names.add_strings(element.is_array() && !element.empty() ? element.front() : element);
    }
  }
  if (elements != nullptr && member(node, "map") != nullptr &&
      *member(node, "map") == "iface_index") {
    for (const json& pair : *elements) {
      if (pair.is_array() && !pair.empty()) names.add_strings(pair.back());
    }
  }
  collect_targets(node, names);
  for (const json& child : node) collect_interfaces(child, names);
}

void collect_devices(const json& node, Names& names) {
  if (!node.is_structured()) return;
  if (const json* device = member(node, "dev")) names.add_strings(*device);
  for (const json& child : node) collect_devices(child, names);
}

std::vector<std::string> devices_in_text(std::string_view script) {
  Names names;
  const std::vector<Token> tokens = tokenize(script);
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (tokens[i].quoted) continue;
    if (tokens[i].text == "device") names.add(tokens[i + 1].text);
    if (tokens[i].text != "devices") continue;
    for (++i; i < tokens.size() && tokens[i].kind != Token::Kind::close; ++i) {
      if (tokens[i].kind == Token::Kind::word && tokens[i].text != "=") names.add(tokens[i].text);
    }
  }
  return names.take();
}

}  // namespace

std::vector<std::string> named_devices(std::string_view script, bool is_json) {
  if (!is_json) return devices_in_text(script);
  Names names;
  collect_devices(json::parse(script, nullptr, false), names);
  return names.take();
}

std::vector<std::string> interfaces_in_json(std::string_view script) {
  Names names;
  collect_interfaces(json::parse(script, nullptr, false), names);
  return names.take();
}

}  // namespace weir::frontend::nft
