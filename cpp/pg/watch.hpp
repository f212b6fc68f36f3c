#pragma once
// A limit on every answer. A network or a pooler that swallows everything leaves libpq waiting for ever, while the renewer's connection
// lives on and keeps the lease: nobody could take the run over. A connection that is overdue is shut down; to libpq that is a lost
// connection, and what was in doubt is looked up on another one.

#include <chrono>

namespace strandline::pg {

// While it lives, an answer is awaited on the socket: after `within` the socket is shut down. STRANDLINE_ANSWER_WITHIN (seconds)
// shortens the limits of all, for tests.
class Awaited {
 public:
  Awaited(int socket, std::chrono::seconds within);
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;
  Awaited(Awaited&&) = delete;
  Awaited& operator=(Awaited&&) = delete;
  ~Awaited();
};

}  // namespace strandline::pg
