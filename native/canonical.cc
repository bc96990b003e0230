// Makes the same decisions as canonical.ts; both have to be changed together.
#include "canonical.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tokens.h"

namespace switchyard {
namespace {

constexpr int kMaxDepth = 1024;
constexpr char kHex[] = "0123456789abcdef";

// One member in the form: its name is [start, name_end), quotes included.
struct Member {
  size_t start;
  size_t name_end;
  size_t end;
};

class Writer {
 public:
  Writer(const uint8_t* bytes, size_t length, uint8_t* out) : at_(bytes), end_(bytes + length), out_(out) {}

  int64_t write() {
    skip_space();
    if (!value(0)) return -1;
    skip_space();
    return at_ == end_ ? static_cast<int64_t>(length_) : -1;
  }

 private:
  bool done() const { return at_ >= end_; }
  bool is(uint8_t byte) const { return at_ < end_ && *at_ == byte; }
  void skip_space() {
    while (at_ < end_ && is_space(*at_)) at_++;
  }
  // No branch writes more bytes than it has read, so the form never outgrows the bytes.
  void put(uint8_t byte) { out_[length_++] = byte; }

  bool value(int depth) {
    if (done() || depth > kMaxDepth) return false;
    if (*at_ == '"') return text();
    if (*at_ == '{') return object(depth);
    if (*at_ == '[') return array(depth);
    const uint8_t* start = at_;
    while (at_ < end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' && !is_space(*at_)) put(*at_++);
    return at_ > start;
  }

  bool array(int depth) {
    put('[');
    at_++;
    skip_space();
    if (!is(']')) {
      for (;;) {
        if (!value(depth + 1)) return false;
        skip_space();
        if (!is(',')) break;
        put(',');
        at_++;
        skip_space();
      }
    }
    if (!is(']')) return false;
    at_++;
    put(']');
    return true;
  }

  bool object(int depth) {
    put('{');
    at_++;
    skip_space();
    if (is('}')) {
      at_++;
      put('}');
      return true;
    }
    const size_t base = members_.size();
    bool sorted = true;
    for (;;) {
      Member member;
      member.start = length_;
      if (!is('"') || !text()) return false;
      member.name_end = length_;
      skip_space();
      if (!is(':')) return false;
      put(':');
      at_++;
      skip_space();
      if (!value(depth + 1)) return false;
      member.end = length_;
      if (members_.size() > base && before(member, members_.back())) sorted = false;
      members_.push_back(member);
      skip_space();
      if (!is(',')) break;
      put(',');
      at_++;
      skip_space();
    }
    if (!is('}')) return false;
    at_++;
    if (!sorted) sort(base);
    members_.resize(base);
    put('}');
    return true;
  }

  bool before(const Member& a, const Member& b) const {
    const size_t a_length = a.name_end - a.start - 2;
    const size_t b_length = b.name_end - b.start - 2;
    const int order = memcmp(out_ + a.start + 1, out_ + b.start + 1, std::min(a_length, b_length));
    return order != 0 ? order < 0 : a_length < b_length;
  }

  void sort(size_t base) {
    const size_t from = members_[base].start;
    const std::vector<uint8_t> copy(out_ + from, out_ + length_);
    std::stable_sort(members_.begin() + static_cast<std::ptrdiff_t>(base), members_.end(),
                     [this](const Member& a, const Member& b) { return before(a, b); });
    length_ = from;
    for (size_t index = base; index < members_.size(); index++) {
      const Member& member = members_[index];
      if (length_ > from) put(',');
      memcpy(out_ + length_, copy.data() + (member.start - from), member.end - member.start);
      length_ += member.end - member.start;
    }
  }

  bool text() {
    put('"');
    at_++;
    while (at_ < end_) {
      const uint8_t byte = *at_;
      if (byte == '"') {
        at_++;
        put('"');
        return true;
      }
      if (byte != '\\') {
        put(byte);
        at_++;
        continue;
      }
      if (end_ - at_ < 2) return false;
      switch (at_[1]) {
        case 'u':
          if (!unicode()) return false;
          break;
        case '"': case '\\': case 'b': case 'f': case 'n': case 'r': case 't':
          put('\\');
          put(at_[1]);
          at_ += 2;
          break;
        case '/':
          put('/');
          at_ += 2;
          break;
        default:
          return false;
      }
    }
    return false;
  }

  bool unicode() {
    if (end_ - at_ < 6) return false;
    const int32_t unit = hex4(at_ + 2);
    if (unit < 0) return false;
    at_ += 6;
    if (unit >= 0xd800 && unit <= 0xdbff && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
      const int32_t low = hex4(at_ + 2);
      if (low >= 0xdc00 && low <= 0xdfff) {
        at_ += 6;
        character(static_cast<uint32_t>(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
        return true;
      }
    }
    character(static_cast<uint32_t>(unit));
    return true;
  }

  void character(uint32_t code) {
    if (code < 0x20 || (code >= 0xd800 && code <= 0xdfff)) {
      put('\\');
      switch (code) {
        case 8: put('b'); return;
        case 9: put('t'); return;
        case 10: put('n'); return;
        case 12: put('f'); return;
        case 13: put('r'); return;
        default: break;
      }
      put('u');
      for (int shift = 12; shift >= 0; shift -= 4) put(static_cast<uint8_t>(kHex[code >> shift & 15]));
    } else if (code < 0x80) {
      if (code == '"' || code == '\\') put('\\');
      put(static_cast<uint8_t>(code));
    } else if (code < 0x800) {
      put(static_cast<uint8_t>(0xc0 | code >> 6));
      put(static_cast<uint8_t>(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
      put(static_cast<uint8_t>(0xe0 | code >> 12));
      put(static_cast<uint8_t>(0x80 | (code >> 6 & 0x3f)));
      put(static_cast<uint8_t>(0x80 | (code & 0x3f)));
    } else {
      put(static_cast<uint8_t>(0xf0 | code >> 18));
      put(static_cast<uint8_t>(0x80 | (code >> 12 & 0x3f)));
      put(static_cast<uint8_t>(0x80 | (code >> 6 & 0x3f)));
      put(static_cast<uint8_t>(0x80 | (code & 0x3f)));
    }
  }

  const uint8_t* at_;
  const uint8_t* end_;
  uint8_t* out_;
  size_t length_ = 0;
  std::vector<Member> members_;
};

}  // namespace

int64_t write_canonical(const uint8_t* bytes, size_t length, uint8_t* out) {
  return Writer(bytes, length, out).write();
}

}  // namespace switchyard
