// SPDX-License-Identifier: BSD-2-Clause
#include "cli/manual.h"

#include <fmt/core.h>

#include <vector>

namespace weir::cli {
namespace {

// The verbs that are for people; a hidden one has an empty group.
std::vector<const CLI::App*> verbs(const CLI::App& app) {
  std::vector<const CLI::App*> out;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_group().empty()) out.push_back(verb);
  }
  return out;
}

// In man(7), a backslash, a dash and a leading dot have meanings of their own.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += std::string("\\&") + c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string option_page(const CLI::Option& option) {
  std::string out = ".TP\n.B " + escaped(option.get_name(true, true));
  if (option.get_items_expected_max() > 0 && option.nonpositional()) {
    out += " " + escaped(option.get_type_name());
  }
  return out + "\n" + escaped(option.get_description()) + "\n";
}

std::string verb_page(const CLI::App& verb) {
  std::string out =
      ".SS weir " + escaped(verb.get_name()) + "\n" + escaped(verb.get_description()) + "\n";
  for (const CLI::Option* option : verb.get_options()) out += option_page(*option);
  return out + ".PP\n.nf\n" + escaped(verb.get_footer()) + "\n.fi\n";
}

std::string long_options(const CLI::App& verb) {
  std::string out;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) out += " --" + name;
    for (const std::string& name : option->get_snames()) out += " -" + name;
  }
  return out.empty() ? out : out.substr(1);
}

}  // namespace

std::string man_page(const CLI::App& app) {
  std::string out = ".TH WEIR 1\n.SH NAME\nweir \\- " + escaped(app.get_description()) +
                    "\n.SH SYNOPSIS\n.B weir\n.I VERB\n[options]\n.SH VERBS\n";
  for (const CLI::App* verb : verbs(app)) out += verb_page(*verb);
  return out + ".SH NOTES\n.nf\n" + escaped(app.get_footer()) + "\n.fi\n";
}

std::string bash_completion(const CLI::App& app) {
  std::string names;
  std::string cases;
  for (const CLI::App* verb : verbs(app)) {
    names += (names.empty() ? "" : " ") + verb->get_name();
    cases += fmt::format("    {}) words=\"{}\" ;;\n", verb->get_name(), long_options(*verb));
  }
  return fmt::format(
      "# bash completion for weir\n"
      "_weir() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"{}\"\n"
      "  if [ \"$COMP_CWORD\" -gt 1 ]; then case \"${{COMP_WORDS[1]}}\" in\n"
      "{}"
      "    *) words=\"\" ;;\n"
      "  esac; fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _weir weir\n",
      names, cases);
}

}  // namespace weir::cli
