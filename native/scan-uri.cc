// Whether a URI is in normal form. The same as plain-uri.ts, where the rules are explained.
#include <cstring>
#include <initializer_list>

#include "tokens.h"

namespace switchyard {
namespace {

enum Class : uint8_t { kScheme = 1, kHost = 2, kPart = 4, kUpperHex = 8, kUnreserved = 16, kLabel = 32 };
enum class SchemeKind { other, file, special };

constexpr char kLower[] = "abcdefghijklmnopqrstuvwxyz";
constexpr char kUpper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr char kDigits[] = "0123456789";

struct ClassTable {
  uint8_t of[256] = {};
  void mark(const char* characters, uint8_t bits) {
    for (; *characters != 0; characters++) of[static_cast<uint8_t>(*characters)] |= bits;
  }
  ClassTable() {
    mark(kLower, kScheme | kHost | kLabel | kPart | kUnreserved);
    mark(kDigits, kScheme | kHost | kLabel | kPart | kUnreserved | kUpperHex);
    mark(kUpper, kPart | kUnreserved);
    mark("ABCDEF", kUpperHex);
    mark("+.-", kScheme);
    mark("._~-", kHost | kPart | kUnreserved);
    mark("-", kLabel);
    mark("!$&'()*+,;=:@", kPart);
  }
};
const ClassTable kClasses;

bool is(uint8_t byte, uint8_t bits) { return (kClasses.of[byte] & bits) != 0; }

bool is_letter(uint8_t byte) { return byte >= 'a' && byte <= 'z'; }

SchemeKind kind_of(const uint8_t* scheme, size_t length) {
  if (length == 4 && memcmp(scheme, "file", 4) == 0) return SchemeKind::file;
  for (const char* name : {"http", "https", "ws", "wss", "ftp"}) {
    if (strlen(name) == length && memcmp(scheme, name, length) == 0) return SchemeKind::special;
  }
  return SchemeKind::other;
}

bool is_domain(const uint8_t* at, const uint8_t* end) {
  const uint8_t* label = at;
  for (;; at++) {
    const uint8_t byte = at == end ? '.' : *at;
    if (byte == '.') {
      if (label == at || *label == '-' || at[-1] == '-') return false;
      if (at == end) return is_letter(*label);
      label = at + 1;
    } else if (!is(byte, kLabel) || (byte == '-' && at[-1] == '-')) {
      return false;
    }
  }
}

bool is_dots(const uint8_t* start, const uint8_t* end) {
  if (start == end || *start != '.') return false;
  const uint8_t* next = start + 1 < end && start[1] == '.' ? start + 2 : start + 1;
  return next == end || *next == ';';
}

uint8_t hex_value(uint8_t byte) { return static_cast<uint8_t>(byte <= '9' ? byte - '0' : byte - 'A' + 10); }

bool is_plain_triplet(const uint8_t* at, const uint8_t* end) {
  if (end - at < 3 || !is(at[1], kUpperHex) || !is(at[2], kUpperHex)) return false;
  const uint8_t value = static_cast<uint8_t>(hex_value(at[1]) * 16 + hex_value(at[2]));
  return value >= 0x20 && value < 0x7f && value != '/' && value != '\\' && !is(value, kUnreserved);
}

bool is_plain_rest(const uint8_t* at, const uint8_t* end, SchemeKind kind) {
  const uint8_t* segment = nullptr;
  bool in_query = false;
  bool in_fragment = false;
  for (; at < end; at++) {
    const uint8_t byte = *at;
    const bool in_path = !in_query && !in_fragment;
    if (byte == '/') {
      if (!in_path) continue;
      if (segment != nullptr && (is_dots(segment, at) || (kind == SchemeKind::file && segment == at))) return false;
      segment = at + 1;
    } else if (byte == '%') {
      if (!is_plain_triplet(at, end)) return false;
      at += 2;
    } else if (byte == '?') {
      if (in_path && segment != nullptr && is_dots(segment, at)) return false;
      in_query = in_query || in_path;
    } else if (byte == '#') {
      if (in_fragment || (in_path && segment != nullptr && is_dots(segment, at))) return false;
      in_fragment = true;
    } else if (!is(byte, kPart)) {
      return false;
    } else if (byte == '\'' && in_query && !in_fragment && kind != SchemeKind::other) {
      return false;
    }
  }
  return in_query || in_fragment || segment == nullptr || !is_dots(segment, end);
}

}  // namespace

bool is_plain_uri(const uint8_t* bytes, size_t length) {
  const uint8_t* at = bytes;
  const uint8_t* end = bytes + length;
  if (at == end || !is_letter(*at)) return false;
  while (at < end && is(*at, kScheme)) at++;
  if (end - at < 3 || at[0] != ':' || at[1] != '/' || at[2] != '/') return false;
  const SchemeKind kind = kind_of(bytes, static_cast<size_t>(at - bytes));
  at += 3;
  const uint8_t* host = at;
  while (at < end && is(*at, kHost)) at++;
  if (kind == SchemeKind::file ? at != host : kind == SchemeKind::special && !is_domain(host, at)) return false;
  if (at > host && *host == '.') return false;
  if (at == end) return kind == SchemeKind::other;
  if (*at != '/' && (kind != SchemeKind::other || (*at != '?' && *at != '#'))) return false;
  return is_plain_rest(at, end, kind);
}

}  // namespace switchyard
