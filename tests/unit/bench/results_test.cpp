// SPDX-License-Identifier: BSD-2-Clause
//
// Rows of a contest as a table, as JSON and as a picture.
#include "bench/results.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/plot.h"

namespace weir::bench {
namespace {

Row row_of(Engine engine, std::size_t rules, double net) {
  return {.list = "acl:" + std::to_string(rules),
          .rules = rules,
          .engine = engine,
          .hook = {.kind = Hook::Kind::xdp},
          .site = engine == Engine::weir ? Site::driver : Site::netdev,
          .ns = {.lower_quartile = net, .median = net + 200, .upper_quartile = net},
          .floor = {.lower_quartile = 200, .median = 200, .upper_quartile = 200},
          .net = {.lower_quartile = net - 1, .median = net, .upper_quartile = net + 1},
          .rounds = 15,
          .packets = 65536,
          .checked = 100,
          .accepted = 70,
          .loading = {.seconds = 0.25, .parts = {}}};
}

std::vector<Row> some_rows() {
  std::vector<Row> rows = {row_of(Engine::weir, 1000, 75), row_of(Engine::nft, 1000, 5000),
                           row_of(Engine::weir, 10000, 100), row_of(Engine::nft, 10000, 50000)};
  rows[0].loading.parts = {{"front end", 0.1}, {"kernel", 0.15}};
  rows[0].memory = 2 << 20;
  rows[1].update_ms = 4.5;
  rows[2].loading.parts = {{"kernel", 0.15}};
  rows[2].update_ms = 0.875;
  rows[2].swap_ms = 2900.5;
  rows[2].updated_in_place = true;
  return rows;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(Results, AsJsonHoldTheContract) {
  const auto json = nlohmann::json::parse(json_of({.rows = some_rows(), .notes = {"no iptables"}}));
  EXPECT_EQ(json.at("notes").size(), 1U);
  const auto& results = json.at("results");
  ASSERT_EQ(results.size(), 4U);
  const auto& weir = results[0];
  EXPECT_EQ(weir.at("engine"), "weir");
  EXPECT_EQ(weir.at("hook"), "xdp");
  EXPECT_EQ(weir.at("rules"), 1000);
  EXPECT_EQ(weir.at("ns"), 275);
  EXPECT_EQ(weir.at("floor_ns"), 200);
  EXPECT_EQ(weir.at("net_ns"), 75);
  EXPECT_EQ(weir.at("load_s"), 0.25);
  EXPECT_EQ(weir.at("update_ms"), nullptr);
  EXPECT_EQ(weir.at("swap_ms"), nullptr);
  EXPECT_EQ(results[2].at("swap_ms"), 2900.5);
  EXPECT_EQ(weir.at("memory_bytes"), 2 << 20);
  EXPECT_EQ(weir.at("dropped"), 30);
  EXPECT_EQ(results[1].at("update_ms"), 4.5);
  EXPECT_EQ(results[1].at("memory_bytes"), nullptr);
}

TEST(Results, AsATableHaveALineEach) {
  const std::string table = table_of({.rows = some_rows(), .notes = {"no iptables"}});
  EXPECT_EQ(count(table, "acl:1000, 1000 rules\n"), 1U) << table;
  EXPECT_EQ(count(table, "acl:10000, 10000 rules\n"), 1U) << table;
  EXPECT_TRUE(table.ends_with("\nno iptables\n")) << table;
  EXPECT_EQ(count(table, "74.0 to 76.0"), 1U) << table;
  EXPECT_EQ(count(table, "front end 0.100, kernel 0.150"), 1U) << table;
  EXPECT_EQ(count(table, "xdp has one rule more in 0.88 ms, in place; by weir rule in 2900.5 ms\n"),
            1U)
      << table;
  EXPECT_EQ(count(table,
                  "100 packets checked, 70 of them accepted; 15 samples of 65536 packets: "
                  "weir at xdp, nft at netdev ingress\n"),
            2U)
      << table;
}

TEST(Plot, HasALineForEachEngineInEachField) {
  std::vector<Row> rows = some_rows();
  EXPECT_EQ(count(plot_of(rows), "<polyline"), 2U);
  EXPECT_EQ(count(plot_of(rows), "<circle"), 4U);
  EXPECT_EQ(count(plot_of(rows), ">acl at xdp<"), 1U);
  Row other = row_of(Engine::weir, 1000, 75);
  other.list = "fw:1000";
  rows.push_back(other);
  EXPECT_EQ(count(plot_of(rows), "<polyline"), 3U) << "nft has no point for fw";
  EXPECT_EQ(count(plot_of(rows), ">fw at xdp<"), 1U);
}

// The axes go from one power of ten to another: a value in the middle of them, on a logarithmic
// scale, stands in the middle.
TEST(Plot, IsLogarithmic) {
  const std::string svg = plot_of(std::vector{
      row_of(Engine::weir, 10, 1), row_of(Engine::weir, 1000, 100), row_of(Engine::weir, 100, 10)});
  const std::size_t begin = svg.find("points=\"") + 8;
  double x[3] = {};
  double y[3] = {};
  ASSERT_EQ(std::sscanf(svg.c_str() + begin, "%lf,%lf %lf,%lf %lf,%lf", &x[0], &y[0], &x[1], &y[1],
                        &x[2], &y[2]),
            6)
      << svg;
  EXPECT_NEAR(x[1], (x[0] + x[2]) / 2, 0.2);
  EXPECT_NEAR(y[1], (y[0] + y[2]) / 2, 0.2);
  EXPECT_LT(x[0], x[2]);
  EXPECT_GT(y[0], y[2]) << "more is higher up";
}

TEST(Plot, NamesThePowersOfTen) {
  const std::string svg =
      plot_of(std::vector{row_of(Engine::weir, 100, 2), row_of(Engine::weir, 1000000, 9)});
  for (const char* label : {">1<", ">10<", ">100<", ">1,000<", ">100,000<", ">1,000,000<"}) {
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  }
}

TEST(Plot, HoldsAnyName) {
  Row row = row_of(Engine::weir, 10, 0);
  row.list = "<a&b>";
  const std::string svg = plot_of(std::vector{row});
  EXPECT_NE(svg.find("&lt;a&amp;b&gt;"), std::string::npos);
  EXPECT_EQ(svg.find("<a&b>"), std::string::npos);
}

}  // namespace
}  // namespace weir::bench
