#pragma once
// One connection, owned by libpqxx, whose PGconn stays within reach: libpqxx has no binary COPY, and the rows have to share
// the ledger's transaction. This file and its .cpp are the only place where libpqxx 6.4 and 7.10 differ.

#include <libpq-fe.h>

#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "pg/params.hpp"

namespace strandline::pg {

class Connection {
 public:
  // Connects; `name` is what the server shows of us. Throws Unreachable. The connection string never reaches a message.
  Connection(const std::string& dsn, const std::string& name);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  // Runs text as it is, which may hold several statements; or one statement with parameters, unnamed, so that a pooler may
  // hand each transaction to another server connection. Throw libpqxx's exceptions.
  pqxx::result execute(const std::string& sql);
  pqxx::result execute(const std::string& sql, const Params& params);

  [[nodiscard]] PGconn* raw() const noexcept { return raw_; }
  [[nodiscard]] bool broken() const noexcept { return lost_ || PQstatus(raw_) != CONNECTION_OK; }
  // Counts as broken from now on, whatever libpq still thinks of it.
  void lose() noexcept { lost_ = true; }
  [[nodiscard]] int server_version() const noexcept { return PQserverVersion(raw_); }
  [[nodiscard]] int backend_pid() const noexcept { return PQbackendPID(raw_); }

 private:
  struct Handle;
  PGconn* raw_;
  bool lost_ = false;
  std::unique_ptr<Handle> handle_;
};

// Whether no server answers there, or one that is starting or stopping: one that may be there in a moment. False for a server that
// answers and refuses us (a password, a database that is not there), and for a connection string that names nothing.
[[nodiscard]] bool away(const std::string& dsn);

}  // namespace strandline::pg
