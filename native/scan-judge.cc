// Which message a valid JSON document is: the second half of typescript-decoder.ts.
#include <cstring>

#include "scan-core.h"
#include "tokens.h"

namespace switchyard {
namespace {

constexpr size_t kMaxIdBytes = 256;
constexpr int32_t kMaxMethodBytes = 256;
constexpr char kNotifications[] = "notifications/";
constexpr int32_t kNotificationsLength = sizeof(kNotifications) - 1;

// Methods of one length are neighbours in `order`; `first[n]` is where those of length n begin.
struct MethodTable {
  static constexpr size_t kLongest = 63;
  uint8_t order[kMethodCount];
  uint8_t first[kLongest + 2];
  MethodTable() {
    size_t next = 0;
    for (size_t length = 0; length <= kLongest + 1; length++) {
      first[length] = static_cast<uint8_t>(next);
      for (int32_t method = 0; method < kMethodCount; method++) {
        if (length <= kLongest && strlen(kMethods[method]) == length) order[next++] = static_cast<uint8_t>(method);
      }
    }
  }
  int32_t find(const uint8_t* bytes, size_t length) const {
    if (length > kLongest) return Method::unknown;
    for (size_t at = first[length]; at < first[length + 1]; at++) {
      if (memcmp(bytes, kMethods[order[at]], length) == 0) return order[at];
    }
    return Method::unknown;
  }
};
const MethodTable kMethodTable;

bool decodes_to(const uint8_t* bytes, size_t length, const char* text) {
  uint8_t plain[32];
  const size_t decoded = decode_ascii(bytes, length, plain, sizeof(plain));
  return decoded == strlen(text) && memcmp(plain, text, decoded) == 0;
}

}  // namespace

bool Scanner::is(int32_t key, const char* token, size_t length) const {
  return starts_[key] >= 0 && static_cast<size_t>(ends_[key] - starts_[key]) == length &&
         memcmp(bytes_ + starts_[key], token, length) == 0;
}

bool Scanner::is_empty(int32_t key) const {
  int32_t at = starts_[key] + 1;
  while (is_space(bytes_[at])) at++;
  return at == ends_[key] - 1;
}

void Scanner::copy(int32_t key, int32_t* spans, int32_t slot) const {
  if (starts_[key] < 0) return;
  spans[slot] = starts_[key];
  spans[slot + 1] = ends_[key];
}

int32_t Scanner::judge(bool is_object, int32_t* spans) {
  const bool id_good = read_id(spans);
  if (too_deep_) return ScanStatus::tooDeep;
  if (ambiguous_) return ScanStatus::ambiguous;
  if (!is_object || !is(Key::jsonrpc, "\"2.0\"", 5)) return ScanStatus::notJsonRpc;
  const bool has_id = starts_[Key::id] >= 0;
  const bool has_result = starts_[Key::result] >= 0;
  const bool has_error = starts_[Key::error] >= 0;
  if (starts_[Key::method] >= 0) {
    if (has_result || has_error) return ScanStatus::notJsonRpc;
    spans[Span::kind] = has_id ? Kind::request : Kind::notification;
    if (has_id && !id_good) return ScanStatus::badId;
    return judge_call(spans);
  }
  if (has_result == has_error || (has_error && first(Key::error) != '{')) return ScanStatus::notJsonRpc;
  // An error may come without an id (JSON-RPC 2.0 section 5); a result may not.
  if (has_result && !has_id) return ScanStatus::notJsonRpc;
  spans[Span::kind] = Kind::response;
  if (has_id && !id_good && first(Key::id) != 'n') return ScanStatus::badId;
  describe_response(spans, has_error);
  return ScanStatus::ok;
}

bool Scanner::read_id(int32_t* spans) {
  const int32_t start = starts_[Key::id];
  if (start < 0 || id_ambiguous_) return false;
  const size_t length = static_cast<size_t>(ends_[Key::id] - start);
  if (bytes_[start] == '"') {
    if (length - 2 > kMaxIdBytes) return false;
    spans[Span::flags] |= Flag::idIsString;
  } else if (length > kMaxIdBytes || !is_integer_token(bytes_ + start, length)) {
    return false;
  }
  copy(Key::id, spans, Span::idStart);
  return true;
}

int32_t Scanner::judge_call(int32_t* spans) {
  const int32_t start = starts_[Key::method] + 1;
  const int32_t end = ends_[Key::method] - 1;
  const int32_t length = end - start;
  if (first(Key::method) != '"' || length < 1 || length > kMaxMethodBytes) return ScanStatus::badMethod;
  const uint8_t* text = bytes_ + start;
  const int32_t method = kMethodTable.find(text, static_cast<size_t>(length));
  // The known methods have neither.
  if (method == Method::unknown && has_control(text, static_cast<size_t>(length))) return ScanStatus::badMethod;
  spans[Span::method] = method;
  spans[Span::methodStart] = start;
  spans[Span::methodEnd] = end;
  if (length >= kNotificationsLength && memcmp(text, kNotifications, kNotificationsLength) == 0) {
    spans[Span::flags] |= Flag::methodIsNotification;
  }
  if (starts_[Key::params] < 0) return ScanStatus::ok;
  if (first(Key::params) != '{') {
    copy(Key::params, spans, Span::paramsStart);
    return ScanStatus::badParams;
  }
  if (!describe_name(method, spans)) return ScanStatus::badParams;
  describe_params(method, spans);
  return ScanStatus::ok;
}

bool Scanner::describe_name(int32_t method, int32_t* spans) {
  int32_t key = -1;
  switch (method) {
    case Method::toolsCall:
    case Method::promptsGet:
      key = Key::name;
      break;
    case Method::resourcesRead:
    case Method::resourcesSubscribe:
    case Method::resourcesUnsubscribe:
      key = Key::uri;
      break;
    case Method::tasksGet:
    case Method::tasksResult:
    case Method::tasksCancel:
    case Method::tasksUpdate:
      key = Key::taskId;
      break;
    case Method::complete:
      key = first(Key::ref) == '{' ? ref_key() : static_cast<int32_t>(Key::ref);
      break;
    default:
      break;
  }
  if (key < 0 || starts_[key] < 0) return true;
  if (first(key) != '"' || key == Key::ref) {
    spans[Span::flags] |= Flag::nameNotString;
    return true;
  }
  const int32_t start = starts_[key] + 1;
  const int32_t end = ends_[key] - 1;
  const size_t length = static_cast<size_t>(end - start);
  int32_t flags = key == Key::uri || key == Key::refUri ? Flag::nameIsUri : 0;
  uint8_t high = 0;
  for (int32_t at = start; at < end; at++) high |= bytes_[at];
  if (high >= 0x80) flags |= Flag::nameNotAscii;
  if (has_escapes_ && memchr(bytes_ + start, '\\', length) != nullptr) {
    flags |= Flag::nameEscaped;
    if (has_lone_surrogate(bytes_ + start, length)) return false;
  }
  if ((flags & Flag::nameIsUri) != 0 && !is_plain_uri(bytes_ + start, length)) flags |= Flag::uriNotPlain;
  spans[Span::flags] |= flags;
  spans[Span::nameStart] = start;
  spans[Span::nameEnd] = end;
  hash(bytes_ + start, length, spans + Span::nameHashLow);
  return true;
}

int32_t Scanner::ref_key() const {
  if (first(Key::refType) != '"') return -1;
  const uint8_t* type = bytes_ + starts_[Key::refType] + 1;
  const size_t length = static_cast<size_t>(ends_[Key::refType] - starts_[Key::refType] - 2);
  if (decodes_to(type, length, "ref/prompt")) return Key::refName;
  return decodes_to(type, length, "ref/resource") ? static_cast<int32_t>(Key::refUri) : -1;
}

void Scanner::describe_params(int32_t method, int32_t* spans) {
  int32_t flags = 0;
  copy(Key::params, spans, Span::paramsStart);
  if (is_empty(Key::params)) {
    spans[Span::flags] |= Flag::paramsIsEmpty;
    return;
  }
  copy(Key::arguments, spans, Span::argumentsStart);
  copy(Key::cursor, spans, Span::cursorStart);
  copy(Key::requestId, spans, Span::requestIdStart);
  copy(Key::inputResponses, spans, Span::inputResponsesStart);
  copy(Key::requestState, spans, Span::requestStateStart);
  if (starts_[Key::meta] >= 0) {
    flags |= describe_meta(Key::meta, spans);
    copy(Key::claim, spans, Span::claimStart);
    if (first(Key::claim) == '"') flags |= Flag::claimIsString;
    copy(Key::capabilities, spans, Span::capabilitiesStart);
    if (first(Key::capabilities) == '{') flags |= Flag::capabilitiesIsObject;
    copy(Key::clientInfo, spans, Span::clientInfoStart);
    copy(Key::traceparent, spans, Span::traceparentStart);
  }
  const int32_t token = method == Method::progress ? Key::progressToken : Key::metaProgressToken;
  copy(token, spans, Span::progressTokenStart);
  if (first(token) == '"') flags |= Flag::progressTokenIsString;
  const int32_t level = method == Method::setLevel || method == Method::message ? Key::level : Key::logLevel;
  copy(level, spans, Span::levelStart);
  spans[Span::flags] |= flags;
}

void Scanner::describe_response(int32_t* spans, bool is_error) {
  int32_t flags = 0;
  if (is_error) {
    copy(Key::error, spans, Span::errorStart);
    const int32_t code = starts_[Key::errorCode];
    spans[Span::errorCode] =
        code < 0 ? 0 : small_integer(bytes_ + code, static_cast<size_t>(ends_[Key::errorCode] - code));
    flags = Flag::isErrorResponse;
  } else {
    copy(Key::result, spans, Span::resultStart);
    if (first(Key::result) == '{') flags = describe_result(spans);
  }
  spans[Span::flags] |= flags;
}

int32_t Scanner::describe_result(int32_t* spans) {
  if (is_empty(Key::result)) return Flag::resultIsObject | Flag::resultIsEmpty;
  int32_t flags = Flag::resultIsObject;
  if (starts_[Key::resultMeta] >= 0) flags |= describe_meta(Key::resultMeta, spans);
  if (is(Key::isError, "true", 4)) flags |= Flag::isError;
  if (starts_[Key::ttlMs] >= 0 || starts_[Key::cacheScope] >= 0) flags |= Flag::hasCacheHints;
  copy(Key::resultType, spans, Span::resultTypeStart);
  copy(Key::ttlMs, spans, Span::ttlMsStart);
  copy(Key::cacheScope, spans, Span::cacheScopeStart);
  copy(Key::structuredContent, spans, Span::structuredContentStart);
  if (is(Key::resultType, "\"complete\"", 10)) flags |= Flag::resultComplete;
  if (is(Key::resultType, "\"input_required\"", 16)) flags |= Flag::resultInputRequired;
  if (starts_[Key::structuredContent] >= 0 && first(Key::structuredContent) != '{') {
    flags |= Flag::structuredNotObject;
  }
  return flags;
}

int32_t Scanner::describe_meta(int32_t key, int32_t* spans) {
  copy(key, spans, Span::metaStart);
  if (first(key) != '{') return 0;
  return is_empty(key) ? Flag::metaIsObject | Flag::metaIsEmpty : static_cast<int32_t>(Flag::metaIsObject);
}

}  // namespace switchyard
