// The scan without Node: what the addon and the fuzzer share. The header layout.h holds the numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "layout.h"

namespace simdjson {
namespace internal {
class dom_parser_implementation;
}
}  // namespace simdjson

namespace switchyard {

// Reads one document at a time; each thread has its own. The bytes need no padding.
class Scanner {
 public:
  Scanner();
  ~Scanner();
  Scanner(const Scanner&) = delete;
  Scanner& operator=(const Scanner&) = delete;

  // Fills `spans` (kSpanCount slots) and returns one of ScanStatus.
  int32_t scan(const uint8_t* bytes, size_t length, int32_t* spans, int32_t max_depth);

  // Writes start and end of each element of an array into `out`, which has `slots` slots. Returns their
  // number, or -1 if they do not fit or the bytes are not a JSON array.
  int32_t split(const uint8_t* bytes, size_t length, int32_t* out, size_t slots);

  void seed(uint32_t low, uint32_t high) {
    seed_low_ = low;
    seed_high_ = high;
  }

  // Seeded 64-bit hash in two lanes; see hash.ts.
  void hash(const uint8_t* bytes, size_t length, int32_t* out) const;

  // Name of the simdjson kernel in use.
  static const char* kernel();

 private:
  // Positions of the members that policy reads at a level are stored in starts_ and ends_.
  enum class Level { top, params, ref, meta, result, error };

  bool index(const uint8_t* bytes, size_t length);
  void release();
  bool escapes_valid() const;
  bool document();
  template <Level level>
  bool members();
  bool member_value(int32_t key);
  bool elements(int32_t* out, size_t slots, int32_t* count);
  bool value();
  bool scalar(uint32_t at, size_t* end) const;
  size_t token_end(uint32_t at) const;
  size_t string_end(uint32_t at) const;
  template <Level level>
  static int32_t find_key(const uint8_t* key, size_t length);
  template <Level level>
  static int32_t find_escaped_key(const uint8_t* key, size_t length);
  void enter();

  int32_t judge(bool is_object, int32_t* spans);
  bool read_id(int32_t* spans);
  int32_t judge_call(int32_t* spans);
  bool describe_name(int32_t method, int32_t* spans);
  int32_t ref_key() const;
  void describe_params(int32_t method, int32_t* spans);
  void describe_response(int32_t* spans, bool is_error);
  int32_t describe_result(int32_t* spans);
  int32_t describe_meta(int32_t key, int32_t* spans);
  void copy(int32_t key, int32_t* spans, int32_t slot) const;
  uint8_t first(int32_t key) const { return starts_[key] < 0 ? 0 : bytes_[starts_[key]]; }
  bool is(int32_t key, const char* token, size_t length) const;
  bool is_empty(int32_t key) const;

  // The byte of the structural index at `at`.
  uint8_t byte(uint32_t at) const { return bytes_[indexes_[at]]; }

  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  // The kernel in use reads beyond the end of the document: scan a copy that allows it.
  bool needs_padding_ = false;
  std::vector<uint8_t> padded_;
  const uint8_t* bytes_ = nullptr;
  size_t length_ = 0;
  const uint32_t* indexes_ = nullptr;
  // Number of structural indexes; indexes_[count_] is the length of the document.
  uint32_t count_ = 0;
  // The current structural index.
  uint32_t at_ = 0;
  int32_t depth_ = 0;
  int32_t max_depth_ = 0;
  bool too_deep_ = false;
  bool ambiguous_ = false;
  bool id_ambiguous_ = false;
  bool has_escapes_ = false;
  uint32_t seed_low_ = 0;
  uint32_t seed_high_ = 0;
  int32_t starts_[kKeyCount];
  int32_t ends_[kKeyCount];
  // Open containers below the value being skipped.
  std::vector<uint8_t> stack_;
};

}  // namespace switchyard
