// simdjson's first stage validates UTF-8, refuses raw control characters and open strings, and finds the
// structural indexes: every bracket, colon and comma outside strings, and the first byte of every string
// and scalar. The walk below visits only those, so that the bytes of text cost nothing. It makes the same
// decisions as typescript-decoder.ts; both have to be changed together.
#include "scan-core.h"

#include <cstring>
#include <string>

#include "simdjson.h"
#include "tokens.h"

namespace switchyard {
namespace {

// The index memory of larger documents (four bytes for each of theirs) is freed after the scan.
constexpr size_t kKeptCapacity = 1 << 18;
constexpr size_t kLeastCapacity = 1 << 12;
constexpr size_t kKeptLevels = 1024;

struct Blank {
  int32_t spans[kSpanCount];
  Blank() {
    for (int32_t& slot : spans) slot = -1;
    for (int32_t slot : {Span::kind, Span::method, Span::flags, Span::nameHashLow, Span::nameHashHigh,
                         Span::errorCode, Span::batchCount}) {
      spans[slot] = 0;
    }
  }
};
const Blank kBlank;

inline bool same(const uint8_t* bytes, const char* text, size_t length) { return memcmp(bytes, text, length) == 0; }

}  // namespace

Scanner::Scanner() { stack_.resize(kKeptLevels); }
Scanner::~Scanner() = default;

const char* Scanner::kernel() {
  static const std::string name = simdjson::get_active_implementation()->name();
  return name.c_str();
}

void Scanner::hash(const uint8_t* bytes, size_t length, int32_t* out) const {
  hash_bytes(bytes, length, seed_low_, seed_high_, out);
}

bool Scanner::index(const uint8_t* bytes, size_t length) {
  if (length == 0 || length > INT32_MAX) return false;
  if (!parser_ || parser_->capacity() < length) {
    size_t capacity = kLeastCapacity;
    while (capacity < length) capacity *= 2;
    parser_.reset();
    // The second stage is not used, so its depth and its tape are as small as they can be.
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, parser_)) {
      parser_.reset();
      return false;
    }
    // This kernel, for processors without vector units, reads up to three bytes past a cut-off character.
    needs_padding_ = simdjson::get_active_implementation()->name() == "fallback";
  }
  if (needs_padding_) {
    padded_.resize(length + simdjson::SIMDJSON_PADDING);
    memcpy(padded_.data(), bytes, length);
    memset(padded_.data() + length, ' ', simdjson::SIMDJSON_PADDING);
    bytes = padded_.data();
  }
  if (parser_->stage1(bytes, length, simdjson::stage1_mode::regular)) return false;
  bytes_ = bytes;
  length_ = length;
  indexes_ = parser_->structural_indexes.get();
  count_ = parser_->n_structural_indexes;
  at_ = 0;
  depth_ = 0;
  too_deep_ = false;
  return count_ > 0;
}

void Scanner::release() {
  if (parser_ && parser_->capacity() > kKeptCapacity) {
    parser_.reset();
    padded_ = {};
  }
  if (stack_.size() > kKeptLevels) {
    stack_.resize(kKeptLevels);
    stack_.shrink_to_fit();
  }
}

// Backslashes outside strings are found by the walk: they are never the start of a value.
bool Scanner::escapes_valid() const {
  const uint8_t* end = bytes_ + length_;
  const uint8_t* at = static_cast<const uint8_t*>(memchr(bytes_, '\\', length_));
  while (at != nullptr) {
    if (end - at < 2) return false;
    switch (at[1]) {
      case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        at += 2;
        break;
      case 'u':
        if (end - at < 6 || hex4(at + 2) < 0) return false;
        at += 6;
        break;
      default:
        return false;
    }
    at = static_cast<const uint8_t*>(memchr(at, '\\', static_cast<size_t>(end - at)));
  }
  return true;
}

inline void Scanner::enter() {
  if (++depth_ > max_depth_) too_deep_ = true;
}

// Position after the string that starts at `at`: between its closing quote and the next structural index
// there is only whitespace.
inline size_t Scanner::string_end(uint32_t at) const {
  size_t end = indexes_[at + 1];
  const size_t start = indexes_[at];
  while (end > start + 2 && bytes_[end - 1] != '"') end--;
  return end;
}

// Whether the scalar at `at` is a number, true, false or null with nothing but whitespace behind it.
inline bool Scanner::scalar(uint32_t at, size_t* end) const {
  const uint8_t* start = bytes_ + indexes_[at];
  const uint8_t* limit = bytes_ + indexes_[at + 1];
  const uint8_t* stop = read_scalar(start, limit);
  if (stop == nullptr) return false;
  *end = static_cast<size_t>(stop - bytes_);
  while (stop < limit) {
    if (!is_space(*stop++)) return false;
  }
  return true;
}

// Skips the value at at_; leaves at_ behind it. Every document ends with a closing bracket (checked before),
// which no step but a close accepts, so only a close can meet the end.
bool Scanner::value() {
  size_t open = 0;
  size_t end;
  uint8_t* stack = stack_.data();
  for (;;) {
    const uint8_t start = byte(at_);
    switch (start) {
      case '"':
        at_++;
        break;
      case '{':
      case '[':
        enter();
        at_++;
        if (byte(at_) == start + 2) {
          depth_--;
          at_++;
          break;
        }
        if (open == stack_.size()) {
          stack_.resize(open * 4);
          stack = stack_.data();
        }
        stack[open++] = start;
        if (start == '{') {
          if (byte(at_) != '"' || byte(at_ + 1) != ':') return false;
          at_ += 2;
        }
        continue;
      default:
        if (!scalar(at_, &end)) return false;
        at_++;
    }
    for (;;) {
      if (open == 0) return true;
      if (at_ >= count_) return false;
      const uint8_t container = stack[open - 1];
      const uint8_t next = byte(at_);
      at_++;
      if (next == ',') {
        if (container == '{') {
          if (byte(at_) != '"' || byte(at_ + 1) != ':') return false;
          at_ += 2;
        }
        break;
      }
      if (next != container + 2) return false;
      depth_--;
      open--;
    }
  }
}

// Position after the value that began at structural index `at`, when at_ is behind it.
inline size_t Scanner::token_end(uint32_t at) const {
  switch (byte(at)) {
    case '"':
      return string_end(at);
    case '{':
    case '[':
      return indexes_[at_ - 1] + 1;
    default: {
      size_t end = indexes_[at + 1];
      while (is_space(bytes_[end - 1])) end--;
      return end;
    }
  }
}

template <Scanner::Level level>
inline int32_t Scanner::find_key(const uint8_t* key, size_t length) {
#define IS(text) same(key, text, sizeof(text) - 1)
  switch (level) {
    case Level::top:
      switch (length) {
        case 2: return IS("id") ? Key::id : -1;
        case 5: return IS("error") ? Key::error : -1;
        case 6: return IS("method") ? Key::method : IS("params") ? Key::params : IS("result") ? Key::result : -1;
        case 7: return IS("jsonrpc") ? Key::jsonrpc : -1;
        default: return -1;
      }
    case Level::params:
      switch (length) {
        case 3: return IS("uri") ? Key::uri : IS("ref") ? Key::ref : -1;
        case 4: return IS("name") ? Key::name : -1;
        case 5: return IS("_meta") ? Key::meta : IS("level") ? Key::level : -1;
        case 6: return IS("cursor") ? Key::cursor : IS("taskId") ? Key::taskId : -1;
        case 9: return IS("arguments") ? Key::arguments : IS("requestId") ? Key::requestId : -1;
        case 12: return IS("requestState") ? Key::requestState : -1;
        case 13: return IS("progressToken") ? Key::progressToken : -1;
        case 14: return IS("inputResponses") ? Key::inputResponses : -1;
        default: return -1;
      }
    case Level::ref:
      switch (length) {
        case 3: return IS("uri") ? Key::refUri : -1;
        case 4: return IS("name") ? Key::refName : IS("type") ? Key::refType : -1;
        default: return -1;
      }
    case Level::meta:
      switch (length) {
        case 11: return IS("traceparent") ? Key::traceparent : -1;
        case 13: return IS("progressToken") ? Key::metaProgressToken : -1;
        default: break;
      }
      if (length < 24 || !IS("io.modelcontextprotocol/")) return -1;
      key += 24;
      switch (length - 24) {
        case 8: return IS("logLevel") ? Key::logLevel : -1;
        case 10: return IS("clientInfo") ? Key::clientInfo : -1;
        case 15: return IS("protocolVersion") ? Key::claim : -1;
        case 18: return IS("clientCapabilities") ? Key::capabilities : -1;
        default: return -1;
      }
    case Level::result:
      switch (length) {
        case 5: return IS("_meta") ? Key::resultMeta : IS("ttlMs") ? Key::ttlMs : -1;
        case 7: return IS("isError") ? Key::isError : -1;
        case 10: return IS("resultType") ? Key::resultType : IS("cacheScope") ? Key::cacheScope : -1;
        case 17: return IS("structuredContent") ? Key::structuredContent : -1;
        default: return -1;
      }
    case Level::error:
      return length == 4 && IS("code") ? Key::errorCode : -1;
  }
#undef IS
  return -1;
}

// Rare: the key has a backslash, so it is compared decoded.
template <Scanner::Level level>
int32_t Scanner::find_escaped_key(const uint8_t* key, size_t length) {
  uint8_t plain[64];
  const size_t decoded = decode_ascii(key, length, plain, sizeof(plain));
  return decoded > sizeof(plain) ? -1 : find_key<level>(plain, decoded);
}

// Reads the object at at_ and records the members that policy reads at that level.
template <Scanner::Level level>
bool Scanner::members() {
  enter();
  at_++;
  if (byte(at_) == '}') {
    depth_--;
    at_++;
    return true;
  }
  for (;;) {
    if (byte(at_) != '"' || byte(at_ + 1) != ':') return false;
    const uint8_t* key_bytes = bytes_ + indexes_[at_] + 1;
    const size_t key_length = string_end(at_) - indexes_[at_] - 2;
    const bool escaped = has_escapes_ && memchr(key_bytes, '\\', key_length) != nullptr;
    const int32_t key = escaped ? find_escaped_key<level>(key_bytes, key_length) : find_key<level>(key_bytes, key_length);
    at_ += 2;
    if (key < 0) {
      if (!value()) return false;
    } else {
      const uint32_t start = at_;
      if (!member_value(key)) return false;
      if (escaped || starts_[key] >= 0) {
        ambiguous_ = true;
        if (key == Key::id) id_ambiguous_ = true;
      }
      starts_[key] = static_cast<int32_t>(indexes_[start]);
      ends_[key] = static_cast<int32_t>(token_end(start));
    }
    if (at_ >= count_) return false;
    const uint8_t next = byte(at_);
    at_++;
    if (next == '}') {
      depth_--;
      return true;
    }
    if (next != ',') return false;
  }
}

bool Scanner::member_value(int32_t key) {
  if (byte(at_) == '{') {
    switch (key) {
      case Key::params: return members<Level::params>();
      case Key::ref: return members<Level::ref>();
      case Key::meta: return members<Level::meta>();
      case Key::result: return members<Level::result>();
      case Key::error: return members<Level::error>();
      default: break;
    }
  }
  return value();
}

bool Scanner::elements(int32_t* out, size_t slots, int32_t* count) {
  *count = 0;
  enter();
  at_++;
  if (byte(at_) == ']') {
    at_++;
    return true;
  }
  for (;;) {
    const uint32_t start = at_;
    if (!value()) return false;
    const size_t slot = 2 * static_cast<size_t>(*count);
    if (out != nullptr) {
      if (slot + 2 > slots) return false;
      out[slot] = static_cast<int32_t>(indexes_[start]);
      out[slot + 1] = static_cast<int32_t>(token_end(start));
    }
    (*count)++;
    if (at_ >= count_) return false;
    const uint8_t next = byte(at_);
    at_++;
    if (next == ']') return true;
    if (next != ',') return false;
  }
}

int32_t Scanner::split(const uint8_t* bytes, size_t length, int32_t* out, size_t slots) {
  int32_t count = -1;
  max_depth_ = 0;
  if (index(bytes, length) && byte(0) == '[' && byte(count_ - 1) == ']') {
    if (!elements(out, slots, &count)) count = -1;
  }
  release();
  return count;
}

int32_t Scanner::scan(const uint8_t* bytes, size_t length, int32_t* spans, int32_t max_depth) {
  memcpy(spans, kBlank.spans, sizeof(kBlank.spans));
  memset(starts_, 0xff, sizeof(starts_));
  ambiguous_ = false;
  id_ambiguous_ = false;
  max_depth_ = max_depth;
  if (!index(bytes, length)) {
    release();
    return ScanStatus::notJson;
  }
  const uint8_t first_byte = byte(0);
  const uint8_t last_byte = byte(count_ - 1);
  has_escapes_ = memchr(bytes_, '\\', length) != nullptr;
  bool whole = !has_escapes_ || escapes_valid();
  int32_t count = 0;
  if (whole) {
    if (first_byte == '{') whole = last_byte == '}' && members<Level::top>();
    else if (first_byte == '[') whole = last_byte == ']' && elements(nullptr, 0, &count);
    else whole = count_ == 1 && value();
    whole = whole && at_ == count_;
  }
  int32_t status;
  if (!whole) {
    status = ScanStatus::notJson;
  } else if (first_byte == '[') {
    status = too_deep_ ? ScanStatus::tooDeep : count == 0 ? ScanStatus::emptyBatch : ScanStatus::ok;
    if (status == ScanStatus::ok) {
      spans[Span::kind] = Kind::batch;
      spans[Span::batchCount] = count;
    }
  } else {
    status = judge(first_byte == '{', spans);
  }
  release();
  return status;
}

}  // namespace switchyard
