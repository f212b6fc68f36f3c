#pragma once
// A session: one connection to one schema, its transactions, and the one way to repeat them.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "pg/connection.hpp"
#include "pg/params.hpp"
#include "pg/query.hpp"

namespace strandline::pg {

// What the server said, with what decides whether to try again.
class DatabaseError : public core::Error {
 public:
  DatabaseError(core::ErrorCode code, const std::string& message, std::string state, bool broken, std::string context)
      : Error{code, message, std::move(context)}, state_{std::move(state)}, broken_{broken} {}

  [[nodiscard]] const std::string& state() const noexcept { return state_; }
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  // Serialization failures, deadlocks, lock and idle limits, a key that somebody else inserted first, a lost connection:
  // the whole transaction may be repeated.
  [[nodiscard]] bool repeatable() const noexcept;

 private:
  std::string state_;
  bool broken_;
};

// How long a transaction may idle, wait for a lock, and run a statement, as PostgreSQL spells durations. A client that is
// stopped in the middle of a page must not hold its rows for longer than this.
struct Limits {
  const char* idle;
  const char* lock;
  const char* statement;
  std::chrono::seconds
      answer;  // what the client waits for an answer: a little longer than the server gives the statement
};
inline constexpr Limits page_limits{"2s", "5s", "60s", std::chrono::seconds{70}};
inline constexpr Limits plan_limits{"60s", "60s", "10min", std::chrono::seconds{610}};
// A migration takes as long as there are rows, and its text is one answer: a limit would only undo it at every try.
inline constexpr Limits migration_limits{"60s", "60s", "0", std::chrono::hours{240}};

// Single quotes around a text that stands where a statement takes no parameter.
[[nodiscard]] std::string quote_text(std::string_view text);

// Double quotes around an identifier. Checked before: not empty, at most 63 bytes, no NUL.
[[nodiscard]] std::string quote_identifier(std::string_view identifier);

class Session;

class Transaction {
 public:
  enum class Access {
    Write,
    Read,      // for the user's own questions
    Snapshot,  // read only, and every statement sees the same moment
  };

  Transaction(Session& session, const Limits& limits, Access access = Access::Write);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction(Transaction&&) = delete;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();  // rolls back what was not committed

  // A named query of sql/queries.
  pqxx::result run(std::string_view name, const Params& params = Params{});
  // A named query with markers, filled with quoted identifiers.
  pqxx::result render(std::string_view name, const Markers& markers, const Params& params = Params{});
  // The text that render() would run.
  std::string rendered(std::string_view name, const Markers& markers);
  // Text from elsewhere: a migration, or a question of the user's.
  pqxx::result text(const std::string& sql, const Params& params);
  pqxx::result script(const std::string& sql);

  // COPY .. FROM STDIN on this transaction: `produce` is given a sink for pieces of the binary stream. Returns the rows that
  // the server counted. When `produce` throws, the COPY is abandoned and the transaction with it.
  using Sink = std::function<void(const char* data, std::size_t size)>;
  std::int64_t copy(std::string_view name, const Markers& markers, const std::function<void(const Sink&)>& produce);

  // Throws InDoubt when the connection is lost before the answer.
  void commit();

 private:
  template <class Statement>
  pqxx::result guarded(std::string_view what, Statement statement);
  pqxx::result text_named(std::string_view name, const std::string& sql, const Params& params);

  Session& session_;
  Connection& connection_;  // the one that began; a lost connection is never replaced inside a transaction
  std::chrono::seconds answer_;
  bool open_ = true;
};

class Session {
 public:
  // `schema` is a plain lower-case identifier. Throws ConfigError, Unreachable.
  Session(std::string dsn, std::string schema, std::string name);

  [[nodiscard]] const std::string& schema() const noexcept { return schema_; }
  [[nodiscard]] const std::string& dsn() const noexcept { return dsn_; }
  // Calls of several threads take turns; a call may contain others.
  [[nodiscard]] std::recursive_mutex& turn() noexcept { return turn_; }
  // The connection, opened again if it was lost.
  Connection& connection();
  // Whether the connection was lost and is not open again.
  [[nodiscard]] bool broken() const noexcept { return !connection_ || connection_->broken(); }
  // Lets go of a connection that is in no known state; the next call opens another.
  void drop() noexcept { connection_.reset(); }
  // Ends the session, after the call in hand. Whatever comes later is an Error, not a connection that nobody closes.
  void close() noexcept;

  // The text of a named query for this schema.
  const std::string& text(std::string_view name);
  // Any SQL with the literal schema name replaced by this session's.
  [[nodiscard]] std::string localized(std::string_view sql) const;

  // Runs `body(transaction)` and commits, and repeats the whole of it, at most three times, when the error allows it. A
  // commit in doubt is repeated too: the bodies given here find what an earlier try of theirs has done. Where that does not
  // hold, call Transaction directly.
  template <class Body>
  auto transact(const Limits& limits, Body body) -> std::invoke_result_t<Body, Transaction&> {
    const std::lock_guard<std::recursive_mutex> guard{turn_};
    for (int attempt = 1;; ++attempt) {
      try {
        Transaction transaction{*this, limits};
        if constexpr (std::is_void_v<std::invoke_result_t<Body, Transaction&>>) {
          body(transaction);
          transaction.commit();
          return;
        } else {
          auto result = body(transaction);
          transaction.commit();
          return result;
        }
      } catch (const core::Error& error) {
        if (!again(error, attempt)) throw;
      }
    }
  }

  // Whether to repeat after `error`; waits a little, differently each time, before it says yes.
  bool again(const core::Error& error, int attempt);

 private:
  std::string dsn_;
  std::string schema_;
  std::string name_;
  std::recursive_mutex turn_;
  std::unique_ptr<Connection> connection_;
  bool closed_ = false;
  std::unordered_map<std::string_view, std::string> texts_;
};

}  // namespace strandline::pg
