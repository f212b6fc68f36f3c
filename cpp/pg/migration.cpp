#include "pg/migration.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "pg/query.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

std::vector<int> lacking(Session& session, Transaction& transaction) {
  std::vector<int> out;
  std::vector<int> have;
  if (boolean(transaction.run("migration.exists", Params{session.schema() + ".ing_schema_migration"})[0], "known")) {
    for (const auto& row : transaction.run("migration.applied")) {
      const auto version = static_cast<int>(integer(row, "version"));
      const auto known = std::find_if(migrations().begin(), migrations().end(),
                                      [&](const Migration& each) { return each.version == version; });
      if (known == migrations().end()) {
        throw core::Error{core::ErrorCode::ConfigError,
                          "schema " + session.schema() + " has version " + std::to_string(version) +
                              ", and this client knows versions up to " + std::to_string(migrations().size()) +
                              "; install a newer strandline"};
      }
      if (text(row, "checksum") != known->checksum) {
        throw core::Error{
            core::ErrorCode::ConfigError,
            "version " + std::to_string(version) + " of schema " + session.schema() +
                " was made by another text than this client's; the client and the schema are not of one release"};
      }
      have.push_back(version);
    }
  }
  for (const Migration& each : migrations()) {
    if (std::find(have.begin(), have.end(), each.version) == have.end()) out.push_back(each.version);
  }
  return out;
}

const Migration& find(int version) {
  const auto found = std::find_if(migrations().begin(), migrations().end(),
                                  [&](const Migration& each) { return each.version == version; });
  if (found == migrations().end())
    throw core::Error{core::ErrorCode::ConfigError, "there is no migration " + std::to_string(version)};
  return *found;
}

}  // namespace

std::vector<int> pending(Session& session) {
  return session.transact(page_limits, [&](Transaction& transaction) { return lacking(session, transaction); });
}

std::vector<int> migrate(Session& session) {
  std::vector<int> applied;
  for (;;) {
    const int version = session.transact(migration_limits, [&](Transaction& transaction) {
      transaction.run("migration.lock", Params{session.schema()});
      const auto missing = lacking(session, transaction);
      if (missing.empty()) return 0;
      const Migration& next = find(missing.front());
      const auto began = std::chrono::steady_clock::now();
      if (missing.size() == migrations().size()) {
        transaction.render("migration.schema", {{"schema", quote_identifier(session.schema())}});
        transaction.run("migration.table");
      }
      transaction.script(session.localized(next.text));
      const auto took =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
      transaction.run("migration.record",
                      Params{next.version, next.title, next.checksum, static_cast<std::int64_t>(took)});
      return next.version;
    });
    if (version == 0) return applied;
    applied.push_back(version);
  }
}

void check_schema(Session& session) {
  const auto missing = pending(session);
  if (missing.empty()) return;
  throw core::Error{core::ErrorCode::ConfigError,
                    "schema " + session.schema() + " lacks version " + std::to_string(missing.front()) +
                        (missing.size() > 1 ? " and later ones" : "") + "; run `strandline migrate --schema " +
                        session.schema() + "` as the role that owns it"};
}

std::string migration_sql(Session& session, int version) {
  const Migration& wanted = find(version);
  // As when we run it: a script that fails in the middle must leave the version before.
  std::string out = std::string{query("tx.begin").text} + ";\n\n";
  if (wanted.version == migrations().begin()->version) {
    out += fill(query("migration.schema"), {{"schema", quote_identifier(session.schema())}}) + ";\n\n";
    out += std::string{query("migration.table").text} + ";\n\n";
  }
  out += std::string{wanted.text} + '\n';
  out += fill(query("migration.record_text"), {{"version", std::to_string(version)},
                                               {"title", quote_text(wanted.title)},
                                               {"checksum", quote_text(wanted.checksum)}});
  return session.localized(out + ";\n\n" + std::string{query("tx.commit").text} + ";\n");
}

}  // namespace strandline::pg
