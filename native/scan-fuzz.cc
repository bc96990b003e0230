// The scan under sanitizers, without Node: scripts/fuzz-native.sh builds and runs it.
//
//   with libFuzzer:  -DSWITCHYARD_LIBFUZZER, which brings its own main
//   without:         scan-fuzz SECONDS SEED FILE...   replays the files, then mutates them
//
// Each input lies in a heap block of exactly its size, so that a read one byte past it is reported, and is
// scanned by every simdjson kernel that this processor has: they must agree, spans must lie in the bytes. The canonical form of a
// message, and of its arguments, depends on no spelling, and is JSON (test/native/canonical.test.ts compares it with canonical.ts).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "canonical.h"
#include "scan-core.h"
#include "simdjson.h"

namespace {

using switchyard::Scanner;
namespace Span = switchyard::Span;
namespace ScanStatus = switchyard::ScanStatus;
namespace Kind = switchyard::Kind;

[[noreturn]] void fail(const char* what, const uint8_t* bytes, size_t length) {
  fprintf(stderr, "scan-fuzz: %s\ninput (%zu bytes): ", what, length);
  for (size_t index = 0; index < length && index < 4096; index++) fprintf(stderr, "%02x", bytes[index]);
  fprintf(stderr, "\n");
  abort();
}

struct Kernel {
  const simdjson::implementation* implementation;
  std::unique_ptr<Scanner> scanner;
};

std::vector<Kernel>& kernels() {
  static std::vector<Kernel> all = [] {
    std::vector<Kernel> found;
    for (const simdjson::implementation* implementation : simdjson::get_available_implementations()) {
      if (implementation->supported_by_runtime_system()) found.push_back({implementation, std::make_unique<Scanner>()});
    }
    return found;
  }();
  return all;
}

void check_spans(const int32_t* spans, const uint8_t* bytes, size_t length) {
  const int32_t starts[] = {Span::idStart, Span::methodStart, Span::paramsStart, Span::nameStart,
                            Span::argumentsStart, Span::metaStart, Span::progressTokenStart, Span::claimStart,
                            Span::capabilitiesStart, Span::clientInfoStart, Span::levelStart, Span::cursorStart,
                            Span::requestIdStart, Span::inputResponsesStart, Span::requestStateStart,
                            Span::resultStart, Span::errorStart, Span::resultTypeStart, Span::traceparentStart,
                            Span::ttlMsStart, Span::cacheScopeStart, Span::structuredContentStart};
  for (const int32_t slot : starts) {
    const int32_t start = spans[slot];
    const int32_t end = spans[slot + 1];
    if (start == -1 && end == -1) continue;
    if (start < 0 || end < start || static_cast<size_t>(end) > length) fail("a span leaves the bytes", bytes, length);
  }
}

// A copy in a block of exactly its size, as every input has.
std::unique_ptr<uint8_t[]> exact_copy(const uint8_t* bytes, size_t length) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[length]);
  if (length > 0) memcpy(copy.get(), bytes, length);
  return copy;
}

// The same JSON value in another spelling: white space around every token, and characters of texts as escapes.
std::vector<uint8_t> respelled(const uint8_t* bytes, size_t length) {
  std::vector<uint8_t> out;
  bool in_text = false;
  for (size_t at = 0; at < length; at++) {
    const uint8_t byte = bytes[at];
    if (byte == '"') in_text = !in_text;
    if (in_text && byte == '\\') {
      const size_t escape = bytes[at + 1] == 'u' ? 6 : 2;
      out.insert(out.end(), bytes + at, bytes + at + escape);
      at += escape - 1;
    } else if (in_text && byte != '"' && byte < 0x80 && at % 3 != 0) {
      char escape[7];
      snprintf(escape, sizeof(escape), at % 2 == 0 ? "\\u%04x" : "\\u%04X", byte);
      out.insert(out.end(), escape, escape + 6);
    } else if (!in_text && strchr("{}[]:,", byte) != nullptr) {
      for (const uint8_t each : {static_cast<uint8_t>('\n'), byte, static_cast<uint8_t>(' ')}) out.push_back(each);
    } else {
      out.push_back(byte);
    }
  }
  return out;
}

void expect_form(const uint8_t* spelling, size_t length, const uint8_t* form, size_t form_length, const char* what) {
  const std::unique_ptr<uint8_t[]> bytes = exact_copy(spelling, length);
  const std::unique_ptr<uint8_t[]> out(new uint8_t[length]);
  const int64_t formed = switchyard::write_canonical(bytes.get(), length, out.get());
  if (formed != static_cast<int64_t>(form_length) || memcmp(form, out.get(), form_length) != 0) {
    fail(what, bytes.get(), length);
  }
}

// `is_json` = the scan has taken the bytes for a message.
void check_canonical(const uint8_t* bytes, size_t length, bool is_json) {
  const std::unique_ptr<uint8_t[]> out(new uint8_t[length]);
  const int64_t formed = switchyard::write_canonical(bytes, length, out.get());
  if (formed < 0) {
    if (is_json) fail("a message has no canonical form", bytes, length);
    return;
  }
  const size_t form_length = static_cast<size_t>(formed);
  const uint8_t* form = out.get();
  expect_form(form, form_length, form, form_length, "the canonical form has another canonical form");
  if (!is_json) return;
  const std::vector<uint8_t> other = respelled(form, form_length);
  expect_form(other.data(), other.size(), form, form_length, "another spelling has another canonical form");
}

// The arguments in canonical form in the place of those that came are still a message.
void check_arguments(Scanner& scanner, const uint8_t* bytes, size_t length, const int32_t* spans) {
  const size_t start = static_cast<size_t>(spans[Span::argumentsStart]);
  const size_t end = static_cast<size_t>(spans[Span::argumentsEnd]);
  const std::unique_ptr<uint8_t[]> arguments = exact_copy(bytes + start, end - start);
  check_canonical(arguments.get(), end - start, true);
  const std::unique_ptr<uint8_t[]> form(new uint8_t[end - start]);
  const int64_t formed = switchyard::write_canonical(arguments.get(), end - start, form.get());
  std::vector<uint8_t> message(bytes, bytes + start);
  message.insert(message.end(), form.get(), form.get() + formed);
  message.insert(message.end(), bytes + end, bytes + length);
  const std::unique_ptr<uint8_t[]> exact = exact_copy(message.data(), message.size());
  int32_t again[switchyard::kSpanCount];
  if (scanner.scan(exact.get(), message.size(), again, 64) != ScanStatus::ok ||
      again[Span::argumentsStart] != spans[Span::argumentsStart]) {
    fail("the canonical form of arguments is none of a message", bytes, length);
  }
}

void one_input(const uint8_t* data, size_t length) {
  // An empty vector has no block; a block of one byte would hide an over-read.
  const std::unique_ptr<uint8_t[]> exact = exact_copy(data, length);
  int32_t first[switchyard::kSpanCount];
  int32_t first_status = -1;
  for (Kernel& kernel : kernels()) {
    simdjson::get_active_implementation() = kernel.implementation;
    int32_t spans[switchyard::kSpanCount];
    for (const int32_t depth : {64, 3}) {
      const int32_t status = kernel.scanner->scan(exact.get(), length, spans, depth);
      check_spans(spans, exact.get(), length);
      if (depth != 64) continue;
      if (first_status < 0) {
        first_status = status;
        memcpy(first, spans, sizeof(spans));
      } else if (status != first_status || memcmp(first, spans, sizeof(spans)) != 0) {
        fail("kernels differ", exact.get(), length);
      }
      if (status == ScanStatus::ok && spans[Span::kind] == Kind::batch) {
        std::vector<int32_t> out(2 * static_cast<size_t>(spans[Span::batchCount]));
        if (kernel.scanner->split(exact.get(), length, out.data(), out.size()) != spans[Span::batchCount]) {
          fail("a batch is split otherwise than it is counted", exact.get(), length);
        }
      }
    }
    int32_t out[8];
    kernel.scanner->split(exact.get(), length, out, 8);
    kernel.scanner->hash(exact.get(), length, out);
  }
  const bool is_json = first_status == ScanStatus::ok;
  check_canonical(exact.get(), length, is_json);
  if (is_json && first[Span::argumentsStart] >= 0) {
    check_arguments(*kernels().front().scanner, exact.get(), length, first);
  }
}

}  // namespace

#ifdef SWITCHYARD_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  one_input(data, length);
  return 0;
}
#else
namespace {

using Bytes = std::vector<uint8_t>;

const char* const kWords[] = {"\"jsonrpc\":\"2.0\"", "\"id\":", "\"method\":\"tools/call\"", "\"params\":{", "\"name\":\"",
                              "\"_meta\":{", "\\u0061", "\\ud800", "\xf0\x9f\x98\x80", "\xe2\x82\xac", "\\\\", "\\\"",
                              "[[[[", "]]]]", "{\"a\":", "}}", "1e-9", "-0.0E+1", "true", "null", ",", ":", "\""};

Bytes mutate(const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  const auto below = [&random](size_t limit) { return limit == 0 ? 0 : static_cast<size_t>(random() % limit); };
  Bytes bytes = corpus[below(corpus.size())];
  const size_t changes = 1 + below(6);
  for (size_t change = 0; change < changes; change++) {
    const size_t at = below(bytes.size() + 1);
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(7)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        if (at < bytes.size()) bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 2: {
        const std::string word = kWords[below(sizeof(kWords) / sizeof(*kWords))];
        bytes.insert(place, word.begin(), word.end());
        break;
      }
      case 3:
        bytes.erase(place, place + static_cast<std::ptrdiff_t>(below(std::min<size_t>(bytes.size() - at, 16) + 1)));
        break;
      case 4:
        bytes.resize(at);
        break;
      case 5: {
        const Bytes& other = corpus[below(corpus.size())];
        const size_t from = below(other.size() + 1);
        bytes.insert(place, other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
        break;
      }
      default:
        bytes.insert(place, 1 + below(130), static_cast<uint8_t>("{[\" \\a\xc3"[below(7)]));
    }
    if (bytes.size() > 1 << 16) bytes.resize(1 << 16);
  }
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    fprintf(stderr, "usage: scan-fuzz SECONDS SEED FILE...\n");
    return 64;
  }
  const double seconds = atof(arguments[1]);
  std::mt19937_64 random(strtoull(arguments[2], nullptr, 10));
  std::vector<Bytes> corpus;
  for (int index = 3; index < count; index++) {
    std::ifstream file(arguments[index], std::ios::binary);
    if (!file) {
      fprintf(stderr, "scan-fuzz: %s cannot be read\n", arguments[index]);
      return 66;
    }
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  for (const Bytes& bytes : corpus) one_input(bytes.data(), bytes.size());
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  unsigned long long inputs = 0;
  while (std::chrono::steady_clock::now() < end) {
    for (int round = 0; round < 64; round++, inputs++) {
      const Bytes bytes = mutate(corpus, random);
      one_input(bytes.data(), bytes.size());
    }
  }
  std::string names;
  for (const Kernel& kernel : kernels()) names += (names.empty() ? "" : ", ") + std::string(kernel.implementation->name());
  printf("scan-fuzz: %zu files and %llu inputs agreed in %s (seed %s)\n", corpus.size(), inputs, names.c_str(), arguments[2]);
  return 0;
}
#endif
