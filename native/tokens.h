// Properties of single JSON tokens; tokens.ts and hash.ts are the same in TypeScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace switchyard {

inline bool is_space(uint8_t byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

inline bool is_digit(uint8_t byte) { return static_cast<uint8_t>(byte - '0') < 10; }

inline const uint8_t* read_digits(const uint8_t* at, const uint8_t* limit) {
  const uint8_t* start = at;
  while (at < limit && is_digit(*at)) at++;
  return at == start ? nullptr : at;
}

inline const uint8_t* read_number(const uint8_t* at, const uint8_t* limit) {
  if (*at == '-') at++;
  if (at >= limit) return nullptr;
  if (*at == '0') at++;
  else if ((at = read_digits(at, limit)) == nullptr) return nullptr;
  if (at < limit && *at == '.') {
    if ((at = read_digits(at + 1, limit)) == nullptr) return nullptr;
  }
  if (at < limit && (*at | 0x20) == 'e') {
    at++;
    if (at < limit && (*at == '+' || *at == '-')) at++;
    return read_digits(at, limit);
  }
  return at;
}

inline const uint8_t* read_word(const uint8_t* at, const uint8_t* limit, const char* word, size_t length) {
  if (static_cast<size_t>(limit - at) < length || memcmp(at, word, length) != 0) return nullptr;
  return at + length;
}

// The position after the number, true, false or null in [start, limit), or nullptr; the range is not empty.
inline const uint8_t* read_scalar(const uint8_t* start, const uint8_t* limit) {
  switch (*start) {
    case 't': return read_word(start, limit, "true", 4);
    case 'f': return read_word(start, limit, "false", 5);
    case 'n': return read_word(start, limit, "null", 4);
    default: return read_number(start, limit);
  }
}

// The 16 bits that four hexadecimal digits denote, or -1. Reads four bytes.
int32_t hex4(const uint8_t* digits);

// Decodes an escaped string into ASCII. Returns its length, or capacity + 1 when it is longer or not ASCII.
size_t decode_ascii(const uint8_t* bytes, size_t length, uint8_t* out, size_t capacity);

bool is_integer_token(const uint8_t* token, size_t length);
int32_t small_integer(const uint8_t* token, size_t length);
bool has_control(const uint8_t* text, size_t length);
bool has_lone_surrogate(const uint8_t* text, size_t length);

// Whether a URI is in normal form already; plain-uri.ts.
bool is_plain_uri(const uint8_t* bytes, size_t length);

void hash_bytes(const uint8_t* bytes, size_t length, uint32_t low, uint32_t high, int32_t* out);

}  // namespace switchyard
