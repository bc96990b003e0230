// The canonical form of a JSON value; see canonical.ts, which has the same function.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard {

// Writes the canonical form of the JSON value in [bytes, bytes + length) into `out`, which has room for `length` bytes. Returns
// its length, or -1 when the bytes are no JSON value or are nested too deep. Stays in bounds whatever the bytes are.
int64_t write_canonical(const uint8_t* bytes, size_t length, uint8_t* out);

}  // namespace switchyard
