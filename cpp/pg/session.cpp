#include "pg/session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "pg/watch.hpp"

namespace strandline::pg {
namespace {

constexpr std::string_view literal_schema = "strandline.";
constexpr int tries = 3;

bool plain_identifier(std::string_view text) {
  if (text.empty() || text.size() > 63 || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

const char* opening_of(Transaction::Access access) {
  switch (access) {
    case Transaction::Access::Read:
      return "tx.begin_read";
    case Transaction::Access::Snapshot:
      return "tx.begin_snapshot";
    case Transaction::Access::Write:
      break;
  }
  return "tx.begin";
}

core::ErrorCode code_of(const std::string& state, bool broken) {
  // A server that goes down, that is full, or whose disk fails: it may come back, and nothing of this is the caller's fault.
  if (broken || state.compare(0, 2, "08") == 0 || state.compare(0, 2, "53") == 0 || state.compare(0, 2, "58") == 0 ||
      state == "57P01" || state == "57P02" || state == "57P03")
    return core::ErrorCode::Unreachable;
  // Others were in the way for longer than three tries.
  if (state.compare(0, 2, "40") == 0 || state == "55P03" || state == "25P03" || state == "57014")
    return core::ErrorCode::Transient;
  if (state.compare(0, 2, "22") == 0 || state.compare(0, 2, "23") == 0) return core::ErrorCode::DataError;
  // Privileges, undefined objects, wrong definitions: somebody has to change something before a repetition helps.
  if (state.compare(0, 2, "42") == 0 || state.compare(0, 2, "3F") == 0 || state.compare(0, 2, "28") == 0 ||
      state.compare(0, 2, "0A") == 0 || state == "25006")
    return core::ErrorCode::ConfigError;
  return core::ErrorCode::Error;
}

[[noreturn]] void raise(std::string_view what, std::string message, const std::string& state, bool broken) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (message.compare(0, 8, "ERROR:  ") == 0) message.erase(0, 8);
  const nlohmann::json context{{"query", what}, {"sqlstate", state}};
  if (broken) message = "the connection to the database was lost (" + message + "); the call can be repeated";
  throw DatabaseError{code_of(state, broken), std::string{what} + ": " + message, state, broken, context.dump()};
}

}  // namespace

bool DatabaseError::repeatable() const noexcept {
  static constexpr std::array<std::string_view, 8> states{"40001", "40P01", "55P03", "25P03",
                                                          "23505", "57P01", "57P02", "57P03"};
  return broken_ || std::find(states.begin(), states.end(), state_) != states.end();
}

std::string quote_text(std::string_view text) {
  std::string out = text.find('\\') == std::string_view::npos ? "'" : "e'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  out += '\'';
  return out;
}

std::string quote_identifier(std::string_view identifier) {
  if (identifier.empty() || identifier.size() > 63 || identifier.find('\0') != std::string_view::npos) {
    throw core::Error{core::ErrorCode::ConfigError,
                      "the name \"" + std::string{identifier.substr(0, 80)} +
                          "\" cannot be an identifier: PostgreSQL allows 1 to 63 bytes without NUL"};
  }
  std::string out = "\"";
  for (const char c : identifier) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
  return out;
}

Session::Session(std::string dsn, std::string schema, std::string name)
    : dsn_{std::move(dsn)}, schema_{std::move(schema)}, name_{std::move(name)} {
  if (!plain_identifier(schema_)) {
    throw core::Error{
        core::ErrorCode::ConfigError,
        "the schema name \"" + schema_ + "\" must be lower-case letters, digits and underscores, at most 63 of them"};
  }
  static_cast<void>(connection());
}

void Session::close() noexcept {
  const std::lock_guard<std::recursive_mutex> guard{turn_};
  closed_ = true;
  connection_.reset();
}

Connection& Session::connection() {
  if (closed_) throw core::Error{core::ErrorCode::Error, "the connection was closed; connect again"};
  if (!connection_ || connection_->broken()) {
    connection_.reset();
    connection_ = std::make_unique<Connection>(dsn_, name_);
  }
  return *connection_;
}

std::string Session::localized(std::string_view sql) const {
  std::string out;
  out.reserve(sql.size());
  for (std::size_t from = 0;;) {
    const auto at = sql.find(literal_schema, from);
    if (at == std::string_view::npos) return out.append(sql.substr(from));
    out.append(sql.substr(from, at - from)).append(schema_).append(1, '.');
    from = at + literal_schema.size();
  }
}

const std::string& Session::text(std::string_view name) {
  const auto& found = query(name);
  auto [entry, fresh] = texts_.try_emplace(found.name);
  if (fresh) entry->second = localized(found.text);
  return entry->second;
}

bool Session::again(const core::Error& error, int attempt) {
  const auto* database = dynamic_cast<const DatabaseError*>(&error);
  const bool doubt = error.code() == core::ErrorCode::InDoubt;
  const bool refused = database == nullptr && error.code() == core::ErrorCode::Unreachable;
  const bool repeatable = doubt || refused || (database != nullptr && database->repeatable());
  if (attempt >= tries || !repeatable) return false;
  // Jitter, so that two transactions that met once do not meet again.
  static thread_local std::mt19937 random{std::random_device{}()};
  const int most = refused ? 400 : 20;
  std::this_thread::sleep_for(std::chrono::milliseconds{std::uniform_int_distribution<int>{1, most * attempt}(random)});
  return true;
}

Transaction::Transaction(Session& session, const Limits& limits, Access access)
    : session_{session}, connection_{session.connection()}, answer_{limits.answer} {
  // One round trip: the level and the limits are known before anything is sent.
  const std::string opening = session_.text(opening_of(access)) + ";" +
                              rendered("tx.limits", {{"idle", quote_text(limits.idle)},
                                                     {"lock", quote_text(limits.lock)},
                                                     {"statement", quote_text(limits.statement)}});
  guarded("tx.begin", [&] { return connection_.execute(opening); });
}

Transaction::~Transaction() {
  if (!open_ || connection_.broken()) return;
  try {
    const Awaited awaited{PQsocket(connection_.raw()), answer_};
    connection_.execute(session_.text("tx.rollback"));
  } catch (const std::exception&) {
    // The connection is gone or in a state that only closing mends; the server rolls back either way.
    session_.drop();
  }
}

template <class Statement>
pqxx::result Transaction::guarded(std::string_view what, Statement statement) {
  try {
    const Awaited awaited{PQsocket(connection_.raw()), answer_};
    return statement();
  } catch (const pqxx::serialization_failure& error) {  // no sql_error in libpqxx 6.4, like the next two
    raise(what, error.what(), "40001", connection_.broken());
  } catch (const pqxx::deadlock_detected& error) {
    raise(what, error.what(), "40P01", connection_.broken());
  } catch (const pqxx::transaction_rollback& error) {
    raise(what, error.what(), "40000", connection_.broken());
  } catch (const pqxx::sql_error& error) {
    // Without a state it is libpq's own word, not the server's: a connection that was closed behind a last notice (a server that
    // crashes) still looks open.
    if (error.sqlstate().empty()) connection_.lose();
    raise(what, error.what(), error.sqlstate(), connection_.broken());
  } catch (const pqxx::broken_connection& error) {
    raise(what, error.what(), "08006", true);
  } catch (const pqxx::failure& error) {
    connection_.lose();
    raise(what, error.what(), "", true);
  }
}

pqxx::result Transaction::run(std::string_view name, const Params& params) {
  return guarded(name, [&] {
    return params.values().empty() ? connection_.execute(session_.text(name))
                                   : connection_.execute(session_.text(name), params);
  });
}

pqxx::result Transaction::render(std::string_view name, const Markers& markers, const Params& params) {
  return text_named(name, rendered(name, markers), params);
}

std::string Transaction::rendered(std::string_view name, const Markers& markers) {
  return fill(query(name), session_.text(name), markers);
}

pqxx::result Transaction::text(const std::string& sql, const Params& params) {
  // With parameters, also with none: as a script it could hold several statements, the first of which ends the transaction.
  return guarded("query", [&] { return connection_.execute(sql, params); });
}

pqxx::result Transaction::text_named(std::string_view name, const std::string& sql, const Params& params) {
  return guarded(name,
                 [&] { return params.values().empty() ? connection_.execute(sql) : connection_.execute(sql, params); });
}

pqxx::result Transaction::script(const std::string& sql) {
  return guarded("script", [&] { return connection_.execute(sql); });
}

std::int64_t Transaction::copy(std::string_view name, const Markers& markers,
                               const std::function<void(const Sink&)>& produce) {
  PGconn* raw = connection_.raw();
  const auto fail = [&](PGresult* result) {
    const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == nullptr) connection_.lose();
    const char* primary = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const std::string known = state == nullptr ? "08006" : state;
    std::string message = primary == nullptr ? PQerrorMessage(raw) : primary;
    PQclear(result);
    while (PGresult* rest = PQgetResult(raw)) PQclear(rest);
    raise(name, std::move(message), known, connection_.broken());
  };
  const Awaited awaited{PQsocket(raw), answer_};
  PGresult* started = PQexec(raw, rendered(name, markers).c_str());
  if (PQresultStatus(started) != PGRES_COPY_IN) fail(started);
  PQclear(started);
  try {
    produce([&](const char* data, std::size_t size) {
      // A refusal here means that the server has ended the COPY; its reason is in the result.
      if (PQputCopyData(raw, data, static_cast<int>(size)) != 1) fail(PQgetResult(raw));
    });
  } catch (const DatabaseError&) {
    throw;
  } catch (...) {
    PQputCopyEnd(raw, "abandoned by the client");
    while (PGresult* rest = PQgetResult(raw)) PQclear(rest);
    throw;
  }
  if (PQputCopyEnd(raw, nullptr) != 1) fail(PQgetResult(raw));
  PGresult* ended = PQgetResult(raw);
  if (PQresultStatus(ended) != PGRES_COMMAND_OK) fail(ended);
  const std::int64_t rows = std::stoll(PQcmdTuples(ended));
  PQclear(ended);
  while (PGresult* rest = PQgetResult(raw)) PQclear(rest);
  return rows;
}

void Transaction::commit() {
  open_ = false;
  try {
    guarded("tx.commit", [&] { return connection_.execute(session_.text("tx.commit")); });
  } catch (const DatabaseError& error) {
    if (!error.broken()) throw;
    throw core::Error{core::ErrorCode::InDoubt,
                      "the connection was lost during COMMIT: the transaction may or may not have been stored"};
  }
}

}  // namespace strandline::pg
