#include "libs/secret/secret.h"

#include <openssl/crypto.h>

#include <cstdio>
#include <utility>

namespace insula {
namespace {

// An owned text that is overwritten at its end.
struct WipedText {
  explicit WipedText(absl::string_view from) : text(from) {}
  WipedText(const WipedText&) = delete;
  WipedText& operator=(const WipedText&) = delete;
  ~WipedText() { WipeString(&text); }
  std::string text;
};

}  // namespace

Secret::Secret(std::string&& text) {
#ifdef INSULA_SHOW_SECRETS
  // For the test that searches all output for secrets: it must find these.
  std::fprintf(stderr, "secret: %s\n", text.c_str());
#endif
  if (!text.empty()) {
    // Of just its size: a copy that grows would leave pieces behind.
    auto owned = std::make_shared<WipedText>(text);
    text_ = std::shared_ptr<const std::string>(owned, &owned->text);
  }
  WipeString(&text);
}

const std::string& Secret::Reveal() const {
  static const auto& empty = *new std::string();
  return text_ == nullptr ? empty : *text_;
}

bool operator==(const Secret& a, const Secret& b) {
  const std::string& left = a.Reveal();
  const std::string& right = b.Reveal();
  return left.size() == right.size() &&
         CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

void WipeString(std::string* text) {
  // Also what lies between its end and its capacity.
  text->resize(text->capacity());
  OPENSSL_cleanse(text->data(), text->size());
  text->clear();
}

}  // namespace insula
