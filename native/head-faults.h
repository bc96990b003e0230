// Faults of a request head that the parser of uWebSockets.js accepts and does not show.
#ifndef SWITCHYARD_HEAD_FAULTS_H
#define SWITCHYARD_HEAD_FAULTS_H

#include <strings.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace switchyard {

inline bool decides(const uint8_t* name, size_t length) {
  static constexpr const char* kNames[] = {"host",          "origin",       "expect",           "accept",
                                           "connection",    "content-type", "content-encoding", "content-length",
                                           "authorization", "upgrade",      "last-event-id",    "transfer-encoding"};
  const char* text = reinterpret_cast<const char*>(name);
  if (length > 4 && strncasecmp(text, "mcp-", 4) == 0) return true;
  for (const char* known : kNames) {
    if (strlen(known) == length && strncasecmp(text, known, length) == 0) return true;
  }
  return false;
}

inline bool frames(const uint8_t* name, size_t length) {
  const char* text = reinterpret_cast<const char*>(name);
  return (length == 14 && strncasecmp(text, "content-length", length) == 0) ||
         (length == 17 && strncasecmp(text, "transfer-encoding", length) == 0);
}

// Whether a byte at the edge of a value is more than a space. Parsers differ in whether a tab is white space, which
// matters in fields that determine the end of the message.
inline bool is_doubtful(uint8_t byte, bool is_framing) { return byte >= 0x80 || (is_framing && byte == '\t'); }

inline bool is_blank(uint8_t byte, bool is_framing) {
  return byte == ' ' || byte == '\r' || (byte == '\t' && !is_framing);
}

// Whether the parser would cut bytes off a field that matters: it treats bytes over 127 at the beginning or the end
// of a value as white space, so that it reads "Content-Length: \xff14" as 14 and other parsers as invalid (by RFC 9110
// section 5.5 they are part of the value). Other fields may hold such bytes anywhere. Tabs are doubtful only around a
// length or a transfer coding.
//
// `may_continue`: the bytes may begin in the middle of a head, so that the name of their first line is not known.
inline bool hides_bytes(const uint8_t* bytes, size_t length, bool may_continue) {
  uint8_t seen = 0;
  for (size_t at = 0; at < length; at++) seen |= static_cast<uint8_t>((bytes[at] >= 0x80) | (bytes[at] == '\t'));
  if (seen == 0) return false;
  const uint8_t* const end = bytes + length;
  for (const uint8_t* line = bytes; line < end;) {
    const uint8_t* feed = static_cast<const uint8_t*>(memchr(line, '\n', static_cast<size_t>(end - line)));
    const uint8_t* last = feed == nullptr ? end : feed;
    const uint8_t* colon = static_cast<const uint8_t*>(memchr(line, ':', static_cast<size_t>(last - line)));
    const bool is_unknown = may_continue && line == bytes;
    if (is_unknown || (colon != nullptr && decides(line, static_cast<size_t>(colon - line)))) {
      const uint8_t* from = colon == nullptr ? line : colon + 1;
      const bool is_framing = is_unknown || frames(line, static_cast<size_t>(colon - line));
      while (from < last && is_blank(*from, is_framing)) from++;
      while (last > from && is_blank(last[-1], is_framing)) last--;
      if (from < last && (is_doubtful(*from, is_framing) || is_doubtful(last[-1], is_framing))) return true;
    }
    if (feed == nullptr) break;
    line = feed + 1;
  }
  return false;
}

// Whether the lines have a field without a name, which ends the list of fields for the parser, or the control character
// DEL (RFC 9110 section 5.5). `before` is the byte in front of them.
inline bool breaks_lines(const uint8_t* bytes, size_t length, uint8_t before) {
  if (length == 0) return false;
  uint8_t faults = (before == '\n' && bytes[0] == ':') || bytes[0] == 0x7f;
  for (size_t at = 1; at < length; at++) {
    faults |= static_cast<uint8_t>((bytes[at] == 0x7f) | ((bytes[at - 1] == '\n') & (bytes[at] == ':')));
  }
  return faults != 0;
}

}  // namespace switchyard

#endif
