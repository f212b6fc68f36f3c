#include "pg/connection.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "core/error.hpp"

namespace strandline::pg {
namespace {

// Opens the PGconn. Keywords before `dbname` are defaults that the connection string may overrule; those behind it hold.
// Nothing here is a startup option that PgBouncer would refuse.
PGconn* open(const std::string& dsn, const std::string& name) {
  // A network that swallows everything is found out in a minute; the kernel's own patience is two hours.
  const std::array<const char*, 9> keywords{"connect_timeout",
                                            "fallback_application_name",
                                            "keepalives_idle",
                                            "keepalives_interval",
                                            "keepalives_count",
                                            "tcp_user_timeout",
                                            "dbname",
                                            "client_encoding",
                                            nullptr};
  const std::array<const char*, 9> values{"10", name.c_str(), "30", "10", "3", "60000", dsn.c_str(), "UTF8", nullptr};
  PGconn* raw = PQconnectdbParams(keywords.data(), values.data(), 1);
  if (PQstatus(raw) == CONNECTION_OK) {
    // Details and contexts of server errors quote rows; a message of ours must not.
    PQsetErrorVerbosity(raw, PQERRORS_TERSE);
    PQsetnonblocking(raw, 0);
    // Notices go nowhere: a library does not write to its user's terminal.
    PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
    return raw;
  }
  std::string reason = raw == nullptr ? "out of memory" : PQerrorMessage(raw);
  while (!reason.empty() && reason.back() == '\n') reason.pop_back();
  PQfinish(raw);
  throw core::Error{core::ErrorCode::Unreachable,
                    "the database cannot be reached: " + reason +
                        ". Check the connection string (STRANDLINE_DSN) and the server; the call can be repeated."};
}

}  // namespace

#if defined(PQXX_VERSION_MAJOR) && PQXX_VERSION_MAJOR >= 7

struct Connection::Handle {
  explicit Handle(PGconn* raw) : connection{pqxx::connection::seize_raw_connection(raw)}, transaction{connection} {}
  pqxx::connection connection;
  pqxx::nontransaction transaction;  // begin and commit are statements of ours: they carry the level and the limits
};

pqxx::result Connection::execute(const std::string& sql) { return handle_->transaction.exec(sql); }

pqxx::result Connection::execute(const std::string& sql, const Params& params) {
  pqxx::params sent;
  sent.reserve(params.values().size());
  for (const auto& value : params.values()) {
    if (value) {
      sent.append(pqxx::zview{*value});
    } else {
      sent.append();
    }
  }
  return handle_->transaction.exec(sql, sent);
}

#else

namespace {

// libpqxx 6.4 has no way in for an open PGconn but a connection policy. This one hands it over once, so that a broken
// connection stays broken: a stock 6.4 connection would quietly open another one, without the transaction.
struct AdoptPolicy : pqxx::connectionpolicy {
  explicit AdoptPolicy(PGconn* connection) : connectionpolicy{std::string{}}, fresh{connection} {}
  handle do_startconnect(handle current) override {
    return current != nullptr ? current : std::exchange(fresh, nullptr);
  }
  handle do_completeconnect(handle current) override { return current; }
  PGconn* fresh;
};

struct PolicyHolder {
  AdoptPolicy policy;
};

// A base, so that the policy is there before the connection that refers to it.
// NOLINTNEXTLINE(misc-multiple-inheritance): the order of bases is the only way to get there
struct Adopted : private PolicyHolder, public pqxx::connection_base {
  explicit Adopted(PGconn* raw) : PolicyHolder{AdoptPolicy{raw}}, connection_base{policy} {
    try {
      init();
    } catch (...) {
      close();
      throw;
    }
  }
  Adopted(const Adopted&) = delete;
  Adopted& operator=(const Adopted&) = delete;
  ~Adopted() { close(); }
};

}  // namespace

struct Connection::Handle {
  explicit Handle(PGconn* raw) : connection{raw}, transaction{connection} {}
  Adopted connection;
  pqxx::nontransaction transaction;  // begin and commit are statements of ours: they carry the level and the limits
};

pqxx::result Connection::execute(const std::string& sql) { return handle_->transaction.exec(sql); }

pqxx::result Connection::execute(const std::string& sql, const Params& params) {
  std::vector<const char*> sent;
  sent.reserve(params.values().size());
  for (const auto& value : params.values()) sent.push_back(value ? value->c_str() : nullptr);
  return handle_->transaction.exec_params(sql, pqxx::prepare::make_dynamic_params(sent.begin(), sent.end()));
}

#endif

Connection::Connection(const std::string& dsn, const std::string& name) : raw_{open(dsn, name)} {
  try {
    handle_ = std::make_unique<Handle>(raw_);
  } catch (const pqxx::failure& error) {  // ended by the server in the moment after it was opened
    throw core::Error{core::ErrorCode::Unreachable,
                      std::string{"the database cannot be reached: "} + error.what() + "; the call can be repeated"};
  }
}

Connection::~Connection() = default;

bool away(const std::string& dsn) {
  const std::array<const char*, 3> keywords{"connect_timeout", "dbname", nullptr};
  const std::array<const char*, 3> values{"10", dsn.c_str(), nullptr};
  const PGPing found = PQpingParams(keywords.data(), values.data(), 1);
  return found == PQPING_REJECT || found == PQPING_NO_RESPONSE;
}

}  // namespace strandline::pg
