#include "encode/page.hpp"

namespace strandline::encode {

std::vector<std::string> EncodedPage::column_names() const {
  std::vector<std::string> names;
  names.reserve(columns_.size());
  for (const Column& column : columns_) names.push_back(column.name);
  return names;
}

std::string_view EncodedPage::row(std::size_t index) const noexcept {
  const std::size_t start = index == 0 ? 0 : row_ends_[index - 1];
  return buffer_.view().substr(start, row_ends_[index] - start);
}

const core::Digest& EncodedPage::digest() const {
  if (!digest_) digest_ = core::sha256(buffer_.view());
  return *digest_;
}

}  // namespace strandline::encode
