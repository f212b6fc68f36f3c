#include "pg/version.hpp"

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include <pqxx/version>

namespace strandline::pg {

std::map<std::string, std::string> versions() {
  const int libpq = PQlibVersion();
  return {{"libpq", std::to_string(libpq / 10000) + '.' + std::to_string(libpq % 10000)},
          {"libpqxx", PQXX_VERSION},
          {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
          {"compiler",
#ifdef __clang__
           "clang " __clang_version__
#else
           "gcc " __VERSION__
#endif
          }};
}

}  // namespace strandline::pg
