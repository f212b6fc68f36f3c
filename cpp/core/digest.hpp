#pragma once
// SHA-256. OpenSSL looks a digest up by name on every plain call, which costs more than hashing a short key; here the
// algorithm is fetched once per process and every thread reuses one context.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace strandline::core {

using Digest = std::array<std::uint8_t, 32>;

// The digest of `data`, on this thread's own context. Throws Error when OpenSSL has no SHA-256.
[[nodiscard]] Digest sha256(std::string_view data);

// A digest over parts that are never all in memory at once. finish() starts over, so that one hasher serves many digests.
class Hasher {
 public:
  Hasher();

  void update(std::string_view data);
  [[nodiscard]] Digest finish();

 private:
  struct Release {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, Release> context_;  // EVP_MD_CTX, untyped so that OpenSSL's headers stay in one file
};

// 64 lower-case hexadecimal digits, written to `out`; returns the end.
char* write_hex(char* out, const Digest& digest) noexcept;
[[nodiscard]] std::string to_hex(const Digest& digest);

// The other way, both cases of letters; nothing when `text` is not 64 hexadecimal digits.
[[nodiscard]] std::optional<Digest> from_hex(std::string_view text) noexcept;

}  // namespace strandline::core
