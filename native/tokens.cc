#include "tokens.h"

namespace switchyard {
namespace {

int32_t hex_digit(uint8_t byte) {
  if (is_digit(byte)) return byte - '0';
  const uint8_t lower = byte | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Beyond it the exponent cannot change whether a token of an allowed length is an integer.
constexpr int32_t kExponentCap = 100000;

int32_t exponent(const uint8_t* at, const uint8_t* end) {
  int32_t value = 0;
  const bool negative = at < end && *at == '-';
  if (at < end && (*at == '+' || *at == '-')) at++;
  for (; at < end; at++) {
    value = value * 10 + (*at - '0');
    if (value > kExponentCap) value = kExponentCap;
  }
  return negative ? -value : value;
}

inline uint32_t rotate(uint32_t value, int bits) { return (value << bits) | (value >> (32 - bits)); }

inline uint32_t little_endian(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 | static_cast<uint32_t>(at[2]) << 16 |
         static_cast<uint32_t>(at[3]) << 24;
}

constexpr uint32_t kA1 = 0xcc9e2d51, kA2 = 0x1b873593, kB1 = 0x85ebca6b, kB2 = 0xc2b2ae35;

inline uint32_t finish(uint32_t value) {
  value ^= value >> 16;
  value *= kB1;
  value ^= value >> 13;
  value *= kB2;
  return value ^ (value >> 16);
}

}  // namespace

int32_t hex4(const uint8_t* digits) {
  int32_t value = 0;
  for (int index = 0; index < 4; index++) {
    const int32_t digit = hex_digit(digits[index]);
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

size_t decode_ascii(const uint8_t* bytes, size_t length, uint8_t* out, size_t capacity) {
  size_t used = 0;
  for (size_t at = 0; at < length;) {
    int32_t unit = bytes[at];
    if (unit != '\\') {
      at++;
    } else if (bytes[at + 1] == 'u') {
      unit = hex4(bytes + at + 2);
      at += 6;
    } else {
      unit = bytes[at + 1];
      // The others are control characters, which no key has.
      if (unit != '"' && unit != '\\' && unit != '/') return capacity + 1;
      at += 2;
    }
    if (unit >= 0x80 || used == capacity) return capacity + 1;
    out[used++] = static_cast<uint8_t>(unit);
  }
  return used;
}

bool is_integer_token(const uint8_t* token, size_t length) {
  const uint8_t* end = token + length;
  const uint8_t* at = *token == '-' ? token + 1 : token;
  if (at >= end || !is_digit(*at)) return false;
  int32_t fraction = 0;
  int32_t trailing_zeros = 0;
  bool point = false;
  bool non_zero = false;
  for (; at < end; at++) {
    if (*at == '.') {
      point = true;
      continue;
    }
    if ((*at | 0x20) == 'e') break;
    if (point) fraction++;
    if (*at == '0') {
      trailing_zeros++;
    } else {
      trailing_zeros = 0;
      non_zero = true;
    }
  }
  if (!non_zero) return true;
  return (at < end ? exponent(at + 1, end) : 0) - fraction + trailing_zeros >= 0;
}

int32_t small_integer(const uint8_t* token, size_t length) {
  if (length > 11) return 0;
  const bool negative = *token == '-';
  int64_t value = 0;
  for (size_t at = negative ? 1 : 0; at < length; at++) {
    if (!is_digit(token[at])) return 0;
    value = value * 10 + (token[at] - '0');
  }
  if (value > (negative ? 2147483648LL : 2147483647LL)) return 0;
  return static_cast<int32_t>(negative ? -value : value);
}

bool has_control(const uint8_t* text, size_t length) {
  for (size_t at = 0; at < length; at++) {
    if (text[at] == '\\' || text[at] < 0x20 || text[at] == 0x7f) return true;
  }
  return false;
}

bool has_lone_surrogate(const uint8_t* text, size_t length) {
  for (size_t at = 0; at < length;) {
    if (text[at] != '\\') {
      at++;
    } else if (text[at + 1] != 'u') {
      at += 2;
    } else {
      const int32_t unit = hex4(text + at + 2);
      at += 6;
      if (unit < 0xd800 || unit > 0xdfff) continue;
      if (unit > 0xdbff || at + 6 > length || text[at] != '\\' || text[at + 1] != 'u') return true;
      const int32_t low = hex4(text + at + 2);
      if (low < 0xdc00 || low > 0xdfff) return true;
      at += 6;
    }
  }
  return false;
}

void hash_bytes(const uint8_t* bytes, size_t length, uint32_t low, uint32_t high, int32_t* out) {
  uint32_t first = low;
  uint32_t second = high;
  const uint8_t* at = bytes;
  const uint8_t* end = bytes + length;
  for (; end - at >= 8; at += 8) {
    first ^= rotate(little_endian(at) * kA1, 15) * kA2;
    first = (rotate(first, 13) + second) * 5 + 0x561ccd1b;
    second ^= rotate(little_endian(at + 4) * kB1, 16) * kB2;
    second = (rotate(second, 17) + first) * 5 + 0x0bcaa747;
  }
  uint32_t a = 0;
  uint32_t b = 0;
  for (int shift = 0; at < end; at++, shift += 8) {
    if (shift < 32) a |= static_cast<uint32_t>(*at) << shift;
    else b |= static_cast<uint32_t>(*at) << (shift - 32);
  }
  first ^= rotate(a * kA1, 15) * kA2;
  second ^= rotate(b * kB1, 16) * kB2;
  first ^= static_cast<uint32_t>(length);
  second ^= static_cast<uint32_t>(length);
  first += second;
  second += first;
  first = finish(first);
  second = finish(second);
  first += second;
  second += first;
  out[0] = static_cast<int32_t>(first);
  out[1] = static_cast<int32_t>(second);
}

}  // namespace switchyard
