// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/nft_errors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "frontend/nft/wire.h"

namespace weir::frontend::nft {
namespace {

constexpr std::string_view error_mark = ": Error: ";
constexpr std::string_view unplaced_mark = "Error: ";
constexpr std::string_view include_mark = "In file included from ";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// The file name as the user knows it.
std::string user_file(std::string_view name, const std::string& file) {
  if (!name.starts_with(script_name)) return std::string(name);
  const std::string_view digits = name.substr(script_name.size());
  const bool numbered =
      !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  return numbered ? file : std::string(name);
}

struct Place {
  SourceLocation location;
  std::uint32_t last_column = 0;
};

// "name:line:column-column"; the name may hold colons itself.
std::optional<Place> parse_place(std::string_view text, const std::string& file) {
  const std::size_t columns = text.rfind(':');
  if (columns == std::string_view::npos || columns == 0) return std::nullopt;
  const std::size_t line = text.rfind(':', columns - 1);
  const std::size_t dash = text.find('-', columns);
  if (line == std::string_view::npos || dash == std::string_view::npos) return std::nullopt;
  Place place;
  const auto number = [text](std::size_t from, std::size_t to, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(text.data() + from, text.data() + to, value);
    return error == std::errc() && end == text.data() + to;
  };
  if (!number(line + 1, columns, place.location.line) ||
      !number(columns + 1, dash, place.location.column) ||
      !number(dash + 1, text.size(), place.last_column)) {
    return std::nullopt;
  }
  // "internal:0:0-0" stands in messages about JSON, which has no lines.
  place.location.file = place.location.line == 0 ? file : user_file(text.substr(0, line), file);
  return place;
}

bool is_carets(std::string_view line) {
  return line.find('^') != std::string_view::npos &&
         line.find_first_not_of(" \t^") == std::string_view::npos;
}

std::string marked_text(std::string_view source, const Place& place) {
  if (place.location.column == 0 || place.location.column > source.size()) return {};
  return std::string(
      source.substr(place.location.column - 1, place.last_column - place.location.column + 1));
}

// In commands, which have no columns.
std::string text_over(std::string_view carets, std::string_view source) {
  const std::size_t first = carets.find('^');
  if (first >= source.size()) return {};
  return std::string(source.substr(first, carets.rfind('^') - first + 1));
}

// "name:line:column-column:" behind "In file included from ".
std::string include_note(std::string_view line, const std::string& file) {
  line.remove_prefix(include_mark.size());
  if (line.ends_with(':')) line.remove_suffix(1);
  const std::optional<Place> place = parse_place(line, file);
  if (!place) return std::string(line);
  return place->location.file + ":" + std::to_string(place->location.line);
}

// Whether the kernel lacks what the script asks of it, as far as its answer tells: EOPNOTSUPP for
// keys of expressions ("meta ibrname"), EPROTO for connections of a family that are not tracked
// (nf_ct_netns_get() in net/netfilter/nf_conntrack_proto.c), ENOENT for statements that it was
// built without ("reject" in a bridge). What is not there for other reasons is ENOENT as well.
bool is_lack_of_kernel(const NftError& error) {
  constexpr std::string_view from_kernel = "Could not process rule: ";
  if (!error.text.starts_with(from_kernel)) return false;
  const std::string_view reason = std::string_view(error.text).substr(from_kernel.size());
  if (reason == "Operation not supported" || reason == "Protocol error") return true;
  constexpr std::array<std::string_view, 5> statements = {"reject", "queue", "synproxy", "tproxy",
                                                          "fwd"};
  const std::string_view word = std::string_view(error.marked).substr(0, error.marked.find(' '));
  return reason == "No such file or directory" &&
         std::ranges::find(statements, word) != statements.end();
}

}  // namespace

std::vector<NftError> parse_errors(std::string_view messages, const std::string& file) {
  const std::vector<std::string_view> lines = lines_of(messages);
  std::vector<NftError> errors;
  std::vector<std::string> included_from;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with(include_mark)) {
      included_from.push_back(include_note(lines[i], file));
      continue;
    }
    NftError error;
    std::optional<Place> place;
    const std::size_t mark = lines[i].find(error_mark);
    if (mark != std::string_view::npos) {
      place = parse_place(lines[i].substr(0, mark), file);
      if (!place) continue;
      error.text = lines[i].substr(mark + error_mark.size());
    } else if (lines[i].starts_with(unplaced_mark)) {
      error.text = lines[i].substr(unplaced_mark.size());
    } else {
      continue;
    }
    error.location = place ? place->location : SourceLocation{file, 0, 0};
    error.included_from = std::exchange(included_from, {});
    if (i + 2 < lines.size() && is_carets(lines[i + 2])) {
      error.source_line = lines[i + 1];
      error.carets = lines[i + 2];
      error.marked = place ? marked_text(error.source_line, *place)
                           : text_over(error.carets, error.source_line);
      i += 2;
    }
    errors.push_back(std::move(error));
  }
  return errors;
}

std::vector<std::string> missing_interfaces(const std::vector<NftError>& errors) {
  std::vector<std::string> names;
  for (const NftError& error : errors) {
    if (error.text != no_interface) continue;
    std::string name = error.marked;
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') {
      name = name.substr(1, name.size() - 2);
    }
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

Diagnostic to_diagnostic(const std::vector<NftError>& errors, std::string_view messages,
                         const std::string& file) {
  if (errors.empty()) {
    Diagnostic unknown{ErrorKind::input, "nft refused the script", {file, 0, 0}};
    for (const std::string_view line : lines_of(messages)) unknown.notes.emplace_back(line);
    return unknown;
  }
  const NftError& first = errors.front();
  const ErrorKind kind = is_lack_of_kernel(first) ? ErrorKind::system : ErrorKind::input;
  Diagnostic diagnostic{kind, first.text, first.location};
  if (!first.source_line.empty()) diagnostic.notes = {first.source_line, first.carets};
  if (kind == ErrorKind::system) {
    diagnostic.notes.emplace_back(
        "the kernel has nothing of this kind for the family, or was built without it");
  }
  for (const std::string& from : first.included_from) {
    diagnostic.notes.push_back("included from " + from);
  }
  for (std::size_t i = 1; i < errors.size(); ++i) {
    const NftError& error = errors[i];
    diagnostic.notes.push_back(Diagnostic{ErrorKind::input, error.text, error.location}.text());
    if (!error.source_line.empty()) {
      diagnostic.notes.push_back(error.source_line);
      diagnostic.notes.push_back(error.carets);
    }
  }
  return diagnostic;
}

}  // namespace weir::frontend::nft
