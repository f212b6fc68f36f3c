// Embedded queries and migrations, and the markers of templates.

#include "pg/query.hpp"

#include <string_view>

#include "check.hpp"
#include "core/error.hpp"

using strandline::core::Error;
using strandline::pg::fill;
using strandline::pg::migrations;
using strandline::pg::queries;
using strandline::pg::query;
using strandline::pg::Query;

int main() {
  std::string_view before;
  for (const Query& each : queries()) {
    CHECK(before < each.name);  // sorted: query() searches by halves
    CHECK(&query(each.name) == &each);
    before = each.name;
  }
  CHECK_THROWS(Error, query("no.such_query"));
  CHECK_THROWS(Error, query(""));

  int version = 0;
  for (const auto& migration : migrations()) {
    CHECK(migration.version == ++version);
    CHECK(migration.checksum.size() == 64);
  }

  const Query copy{"x.copy", "", "insert into {target} ({columns}) select '{other}'", 0, "columns target"};
  CHECK(copy.templated());
  // A value that spells a marker stays as it is.
  CHECK(fill(copy, {{"target", "\"{columns}\""}, {"columns", "a, b"}}) ==
        "insert into \"{columns}\" (a, b) select '{other}'");
  CHECK_THROWS(Error, fill(copy, {{"target", "t"}}));
  CHECK_THROWS(Error, fill(copy, {{"target", "t"}, {"table", "t"}}));
  const Query plain{"x.plain", "", "select 1", 0, ""};
  CHECK(!plain.templated());
  CHECK(fill(plain, {}) == "select 1");
  CHECK_THROWS(Error, fill(plain, {{"target", "t"}}));
  return 0;
}
