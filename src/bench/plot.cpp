// SPDX-License-Identifier: BSD-2-Clause
#include "bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::bench {
namespace {

// Of a field, in the units of the picture.
constexpr double field_width = 380;
constexpr double field_height = 300;
constexpr double left = 64;  // of the axes within their field
constexpr double right = 16;
constexpr double top = 30;
constexpr double bottom = 48;
constexpr double legend_height = 34;
constexpr double least_ns = 1;

std::string_view colour_of(Engine engine) {
  switch (engine) {
    case Engine::weir:
      return "#0b6e4f";
    case Engine::nft:
      return "#c0392b";
    case Engine::nft_sets:
      return "#d68910";
    case Engine::iptables:
      return "#2e5fa3";
  }
  throw InvariantError("engine out of range");
}

// Lists are named with these by whoever runs a contest.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string text(double x, double y, std::string_view words, std::string_view attributes = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes,
                     escaped(words));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view colour) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
      y2, colour);
}

// "acl" of "acl:1000"
std::string kind_of(const Row& row) {
  return row.list.substr(0, row.list.find(':'));
}

template <typename T>
void add_once(std::vector<T>& list, const T& item) {
  if (std::ranges::find(list, item) == list.end()) list.push_back(item);
}

// Whole powers of ten around the values.
struct Axis {
  int first = 0;
  int last = 1;
  [[nodiscard]] double share(double value) const {
    return (std::log10(value) - first) / (last - first);
  }
};

Axis axis_of(const std::vector<double>& values) {
  const auto [least, most] = std::ranges::minmax(values);
  Axis axis{.first = static_cast<int>(std::floor(std::log10(least))),
            .last = static_cast<int>(std::ceil(std::log10(most)))};
  axis.last = std::max(axis.last, axis.first + 1);
  return axis;
}

std::string power_of_ten(int exponent) {
  std::string out = "1";
  for (int i = 0; i < exponent; ++i) {
    if ((exponent - i) % 3 == 0) out += ',';
    out += '0';
  }
  return out;
}

class Plot {
 public:
  explicit Plot(std::span<const Row> rows) : rows_(rows) {
    std::vector<double> counts;
    std::vector<double> times;
    for (const Row& row : rows) {
      add_once(kinds_, kind_of(row));
      add_once(hooks_, to_string(row.hook));
      add_once(engines_, row.engine);
      counts.push_back(static_cast<double>(row.rules));
      times.push_back(std::max(row.net.median, least_ns));
    }
    x_ = axis_of(counts);
    y_ = axis_of(times);
  }

  [[nodiscard]] std::string draw() const {
    const double width = field_width * static_cast<double>(hooks_.size());
    const double height = field_height * static_cast<double>(kinds_.size()) + legend_height;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        width, height);
    for (std::size_t k = 0; k < kinds_.size(); ++k) {
      for (std::size_t h = 0; h < hooks_.size(); ++h) {
        out += fmt::format("<g transform=\"translate({:.0f} {:.0f})\">\n",
                           field_width * static_cast<double>(h),
                           field_height * static_cast<double>(k));
        out += text(field_width / 2, 18, kinds_[k] + " at " + hooks_[h],
                    "text-anchor=\"middle\" font-weight=\"bold\"");
        out += axes();
        for (const Engine engine : engines_) out += series(kinds_[k], hooks_[h], engine);
        out += "</g>\n";
      }
    }
    return out + legend(height - legend_height) + "</svg>\n";
  }

 private:
  [[nodiscard]] double x_of(double rules) const {
    return left + x_.share(rules) * (field_width - left - right);
  }
  [[nodiscard]] double y_of(double ns) const {
    return field_height - bottom - y_.share(ns) * (field_height - top - bottom);
  }

  [[nodiscard]] std::string axes() const {
    constexpr std::string_view grid = "#d8d8d8";
    std::string out;
    const double foot = field_height - bottom;
    for (int i = x_.first; i <= x_.last; ++i) {
      const double x = x_of(std::pow(10, i));
      out += line(x, top, x, foot, grid);
      out += text(x, foot + 16, power_of_ten(i), "text-anchor=\"middle\"");
    }
    for (int i = y_.first; i <= y_.last; ++i) {
      const double y = y_of(std::pow(10, i));
      out += line(left, y, field_width - right, y, grid);
      out += text(left - 6, y + 4, power_of_ten(i), "text-anchor=\"end\"");
    }
    out +=
        line(left, top, left, foot, "black") + line(left, foot, field_width - right, foot, "black");
    out += text((left + field_width - right) / 2, foot + 34, "rules", "text-anchor=\"middle\"");
    const double middle = (top + foot) / 2;
    return out + text(0, 0, "ns per packet, floor subtracted",
                      fmt::format("text-anchor=\"middle\" transform=\"translate(12 {:.1f}) "
                                  "rotate(-90)\"",
                                  middle));
  }

  [[nodiscard]] std::string series(const std::string& kind, const std::string& hook,
                                   Engine engine) const {
    std::vector<std::pair<double, double>> points;
    for (const Row& row : rows_) {
      if (row.engine != engine || kind_of(row) != kind || to_string(row.hook) != hook) continue;
      points.emplace_back(static_cast<double>(row.rules), std::max(row.net.median, least_ns));
    }
    if (points.empty()) return {};
    std::ranges::sort(points);
    std::string path;
    std::string dots;
    for (const auto& [rules, ns] : points) {
      const double x = x_of(rules);
      const double y = y_of(ns);
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x, y);
      dots += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"><title>{}, {:.0f} rules: {:.1f} "
          "ns</title></circle>\n",
          x, y, colour_of(engine), to_string(engine), rules, ns);
    }
    return fmt::format(
               "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>\n", path,
               colour_of(engine)) +
           dots;
  }

  [[nodiscard]] std::string legend(double y) const {
    std::string out;
    double x = left;
    for (const Engine engine : engines_) {
      out += fmt::format(
          "<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\" "
          "stroke-width=\"3\"/>\n",
          x, x + 20, y + 12, colour_of(engine));
      out += text(x + 26, y + 16, to_string(engine));
      x += 100;
    }
    return out;
  }

  std::span<const Row> rows_;
  std::vector<std::string> kinds_;
  std::vector<std::string> hooks_;
  std::vector<Engine> engines_;
  Axis x_;
  Axis y_;
};

}  // namespace

std::string plot_of(std::span<const Row> rows) {
  invariant(!rows.empty(), "there is something to draw");
  return Plot(rows).draw();
}

}  // namespace weir::bench
