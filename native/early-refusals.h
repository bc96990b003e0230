// Requests that an overloaded gateway refuses as soon as they are read: a whole POST of the endpoint in one read, of a kind of work
// of which a part is refused. Everything else takes the way through the parser. What is refused is decided by the
// overload guard, in memory that it shares (early-refusals.ts).
#ifndef SWITCHYARD_EARLY_REFUSALS_H
#define SWITCHYARD_EARLY_REFUSALS_H

#include <strings.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "scan-core.h"

namespace switchyard {

// Slots of `control`.
namespace EarlyControl {
enum : int32_t { kEpisode = 0, kMaxDepth = 1, kMaxBody = 2, kHeadEnd = 3, kOpenEnd = 4, kRestEnd = 5 };
}

// Of one listener.
struct EarlyRefusals {
  const int32_t* control = nullptr;
  // By method, its position in the order; -1 = it is not refused here.
  const int8_t* positions = nullptr;
  // By position: requests, those that were not refused, the part of a refusal that is due, the part that is refused, and the
  // time for which a turn of the event loop admits them.
  int32_t* arrivals = nullptr;
  int32_t* admitted = nullptr;
  double* due = nullptr;
  const double* shares = nullptr;
  const double* budgets = nullptr;
  // By method.
  int32_t* refused = nullptr;
  // Head of the answer up to the value of Content-Length, what follows up to the id, and the rest.
  const char* answer = nullptr;
};

constexpr size_t kLongestEarlyHead = 8192;
constexpr size_t kLongestEarlyId = 256;

inline bool is_name(const uint8_t* bytes, size_t length, const char* name) {
  return strlen(name) == length && strncasecmp(reinterpret_cast<const char*>(bytes), name, length) == 0;
}

// RFC 9110 section 5.6.2.
inline bool is_token(uint8_t byte) {
  return (byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'z') ||
         (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != nullptr);
}

// Where the body begins, if the bytes are one whole POST of the endpoint about whose framing no two parsers differ, and of
// which no field asks for anything else than an ordinary answer; 0 = they are not.
inline size_t plain_post(const uint8_t* bytes, size_t length) {
  static constexpr char kLine[] = "POST /mcp HTTP/1.1\r\n";
  constexpr size_t kLineLength = sizeof kLine - 1;
  if (length < kLineLength || memcmp(bytes, kLine, kLineLength) != 0) return 0;
  const uint8_t* const end = bytes + (length < kLongestEarlyHead ? length : kLongestEarlyHead);
  const uint8_t* line = bytes + kLineLength;
  int hosts = 0;
  int lengths = 0;
  size_t body_length = 0;
  for (;;) {
    const uint8_t* const feed = static_cast<const uint8_t*>(memchr(line, '\n', static_cast<size_t>(end - line)));
    if (feed == nullptr || feed == line || feed[-1] != '\r') return 0;
    const uint8_t* last = feed - 1;
    if (last == line) {
      const size_t start = static_cast<size_t>(feed + 1 - bytes);
      return hosts == 1 && lengths == 1 && start + body_length == length ? start : 0;
    }
    const uint8_t* at = line;
    while (at < last && is_token(*at)) at++;
    const size_t name = static_cast<size_t>(at - line);
    if (name == 0 || at == last || *at != ':') return 0;
    for (at++; at < last && *at == ' ';) at++;
    while (last > at && last[-1] == ' ') last--;
    for (const uint8_t* byte = at; byte < last; byte++) {
      if (*byte < 0x20 || *byte > 0x7e) return 0;
    }
    const size_t value = static_cast<size_t>(last - at);
    switch (name) {
      case 4:
        if (is_name(line, name, "host")) hosts++;
        break;
      case 6:
        if (is_name(line, name, "origin") || is_name(line, name, "expect")) return 0;
        break;
      case 7:
        if (is_name(line, name, "upgrade")) return 0;
        break;
      case 10:
        if (is_name(line, name, "connection") && !is_name(at, value, "keep-alive")) return 0;
        break;
      case 12:
        if (is_name(line, name, "content-type") && !is_name(at, value, "application/json")) return 0;
        break;
      case 14:
        if (!is_name(line, name, "content-length")) break;
        lengths++;
        if (value == 0 || value > 9) return 0;
        for (body_length = 0; at < last; at++) {
          if (*at < '0' || *at > '9') return 0;
          body_length = body_length * 10 + (*at - '0');
        }
        break;
      case 16:
        if (is_name(line, name, "content-encoding")) return 0;
        break;
      case 17:
        if (is_name(line, name, "transfer-encoding")) return 0;
        break;
      default:
        break;
    }
    line = feed + 1;
  }
}

// Whether a message is new work of a kind that is judged here, and is to be refused. `judged` = it was judged. `turn_ms`: how long
// the turn of the event loop has run.
inline bool refuses(const EarlyRefusals& early, const int32_t* spans, double turn_ms, bool* judged) {
  if (spans[Span::kind] != Kind::request || spans[Span::inputResponsesStart] >= 0 || spans[Span::requestStateStart] >= 0) {
    return false;
  }
  if (spans[Span::idEnd] - spans[Span::idStart] > static_cast<int32_t>(kLongestEarlyId)) return false;
  const int32_t position = early.positions[spans[Span::method]];
  if (position < 0) return false;
  *judged = true;
  early.arrivals[position]++;
  early.due[position] += turn_ms > early.budgets[position] ? 1 : early.shares[position];
  // Sums of fractions may lack a little to 1.
  if (early.due[position] <= 0.999999) {
    early.admitted[position]++;
    return false;
  }
  early.due[position] -= 1;
  early.refused[spans[Span::method]]++;
  return true;
}

// Writes the answer to the request whose id is given into `out`, which has room for it. Returns its length.
inline size_t early_answer(const EarlyRefusals& early, const uint8_t* id, size_t id_length, char* out) {
  const size_t head = static_cast<size_t>(early.control[EarlyControl::kHeadEnd]);
  const size_t open = static_cast<size_t>(early.control[EarlyControl::kOpenEnd]);
  const size_t rest = static_cast<size_t>(early.control[EarlyControl::kRestEnd]);
  constexpr size_t kBlankLine = 4;
  memcpy(out, early.answer, head);
  size_t at = head;
  at += static_cast<size_t>(snprintf(out + at, 8, "%zu", rest - head - kBlankLine + id_length));
  memcpy(out + at, early.answer + head, open - head);
  at += open - head;
  memcpy(out + at, id, id_length);
  at += id_length;
  memcpy(out + at, early.answer + open, rest - open);
  return at + rest - open;
}

}  // namespace switchyard

#endif
