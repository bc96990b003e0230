// Questions about single JSON tokens; tokens.ts and hash.ts are the same in TypeScript.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard {

inline bool is_space(uint8_t byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

inline bool is_digit(uint8_t byte) { return static_cast<uint8_t>(byte - '0') < 10; }

// The position after the number, true, false or null in [start, limit), or nullptr.
const uint8_t* read_scalar(const uint8_t* start, const uint8_t* limit);

// The 16 bits that four hexadecimal digits denote, or -1. Reads four bytes.
int32_t hex4(const uint8_t* digits);

// Decodes an escaped string into ASCII. Returns its length, or capacity + 1 when it is longer or not ASCII.
size_t decode_ascii(const uint8_t* bytes, size_t length, uint8_t* out, size_t capacity);

bool is_integer_token(const uint8_t* token, size_t length);
int32_t small_integer(const uint8_t* token, size_t length);
bool has_control(const uint8_t* text, size_t length);
bool has_lone_surrogate(const uint8_t* text, size_t length);

void hash_bytes(const uint8_t* bytes, size_t length, uint32_t low, uint32_t high, int32_t* out);

}  // namespace switchyard
