#include "core/digest.hpp"

#include <openssl/evp.h>

#include "core/error.hpp"

namespace strandline::core {
namespace {

[[noreturn]] void fail() {
  throw Error{ErrorCode::Error, "OpenSSL could not compute SHA-256; does `openssl dgst -sha256` work on this machine?"};
}

// Never freed: it lives as long as the process, and freeing it at exit would race with threads that still hash.
const EVP_MD* algorithm() {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (sha256 == nullptr) fail();
  return sha256;
}

EVP_MD_CTX* as_context(void* context) noexcept { return static_cast<EVP_MD_CTX*>(context); }

constexpr std::string_view kHexDigits = "0123456789abcdef";

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

void Hasher::Release::operator()(void* context) const noexcept { EVP_MD_CTX_free(as_context(context)); }

Hasher::Hasher() : context_{EVP_MD_CTX_new()} {
  if (!context_ || EVP_DigestInit_ex2(as_context(context_.get()), algorithm(), nullptr) != 1) fail();
}

void Hasher::update(std::string_view data) {
  if (EVP_DigestUpdate(as_context(context_.get()), data.data(), data.size()) != 1) fail();
}

Digest Hasher::finish() {
  Digest digest;
  EVP_MD_CTX* const context = as_context(context_.get());
  if (EVP_DigestFinal_ex(context, digest.data(), nullptr) != 1) fail();
  if (EVP_DigestInit_ex2(context, nullptr, nullptr) != 1) fail();  // the same algorithm again: only resets the state
  return digest;
}

Digest sha256(std::string_view data) {
  thread_local Hasher hasher;
  hasher.update(data);
  return hasher.finish();
}

char* write_hex(char* out, const Digest& digest) noexcept {
  for (const std::uint8_t byte : digest) {
    *out++ = kHexDigits[byte >> 4U];
    *out++ = kHexDigits[byte & 15U];
  }
  return out;
}

std::string to_hex(const Digest& digest) {
  std::string text(digest.size() * 2, '0');
  write_hex(text.data(), digest);
  return text;
}

std::optional<Digest> from_hex(std::string_view text) noexcept {
  Digest digest{};
  if (text.size() != digest.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

}  // namespace strandline::core
