// Whether the bytes after a request head are a chunked body by RFC 9112 section 7.1, without the parts on which parsers
// differ: no chunk extension, no trailer field, no white space, no line feed without a carriage return.
#ifndef SWITCHYARD_CHUNK_FRAMING_H
#define SWITCHYARD_CHUNK_FRAMING_H

#include <cstddef>
#include <cstdint>

namespace switchyard {

class ChunkFraming {
 public:
  enum class State { open, whole, broken };

  // Takes the next bytes of the connection. Bytes after the end of the body are not read.
  State feed(const uint8_t* bytes, size_t length) {
    size_t at = 0;
    while (at < length && state_ == State::open) {
      if (place_ == Place::data) {
        const size_t part = length - at < size_ ? length - at : static_cast<size_t>(size_);
        at += part;
        size_ -= part;
        if (size_ == 0) place_ = Place::dataCr;
      } else {
        step(bytes[at++]);
      }
    }
    return state_;
  }

 private:
  enum class Place { size, sizeLf, data, dataCr, dataLf, endCr, endLf };

  // Leading zeros are legal; their number is bounded.
  static constexpr int kMaxDigits = 16;
  // Larger than any body limit, and far below what uWebSockets.js can count.
  static constexpr uint64_t kMaxSize = 0xffffffff;

  void step(uint8_t byte) {
    switch (place_) {
      case Place::size:
        if (byte == '\r' && digits_ > 0) {
          place_ = Place::sizeLf;
        } else {
          digit(byte);
        }
        return;
      case Place::sizeLf:
        digits_ = 0;
        expect(byte, '\n', size_ == 0 ? Place::endCr : Place::data);
        return;
      case Place::dataCr:
        expect(byte, '\r', Place::dataLf);
        return;
      case Place::dataLf:
        expect(byte, '\n', Place::size);
        return;
      case Place::endCr:
        expect(byte, '\r', Place::endLf);
        return;
      case Place::endLf:
        expect(byte, '\n', Place::size);
        if (state_ == State::open) state_ = State::whole;
        return;
      case Place::data:
        return;
    }
  }

  void digit(uint8_t byte) {
    const uint8_t lower = byte | 0x20;
    const bool decimal = byte >= '0' && byte <= '9';
    if ((!decimal && (lower < 'a' || lower > 'f')) || ++digits_ > kMaxDigits) {
      state_ = State::broken;
      return;
    }
    size_ = size_ * 16 + static_cast<uint64_t>(decimal ? byte - '0' : lower - 'a' + 10);
    if (size_ > kMaxSize) state_ = State::broken;
  }

  void expect(uint8_t byte, uint8_t wanted, Place next) {
    if (byte == wanted) {
      place_ = next;
    } else {
      state_ = State::broken;
    }
  }

  State state_ = State::open;
  Place place_ = Place::size;
  int digits_ = 0;
  uint64_t size_ = 0;
};

}  // namespace switchyard

#endif
