// The N-API surface. State belongs to the environment, so that every thread that loads the addon has its own.
#include <napi.h>

#include "canonical.h"
#include "doorbell.h"
#include "scan-core.h"
#include "uws-reads.h"

namespace switchyard {
namespace {

struct State {
  Scanner scanner;
};

// The hot functions use the C interface: its calls are a few nanoseconds each, and their number is the cost.
inline State* state_of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<State*>(data);
}

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

// The memory of a typed array of the expected type; nothing when it is something else.
inline bool typed_array(napi_env env, napi_value value, napi_typedarray_type expected, Bytes* out) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &out->length, &data, nullptr, nullptr) != napi_ok) return false;
  out->data = static_cast<uint8_t*>(data);
  return type == expected;
}

inline bool unsigned_number(napi_env env, napi_value value, size_t* out) {
  int32_t number;
  if (napi_get_value_int32(env, value, &number) != napi_ok || number < 0) return false;
  *out = static_cast<size_t>(number);
  return true;
}

inline napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value refuse(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

napi_value scan(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t count = 4;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  Bytes bytes;
  Bytes spans;
  size_t length;
  int32_t depth;
  if (count < 4 || !typed_array(env, arguments[0], napi_uint8_array, &bytes) ||
      !unsigned_number(env, arguments[1], &length) || length > bytes.length ||
      !typed_array(env, arguments[2], napi_int32_array, &spans) || spans.length < kSpanCount ||
      napi_get_value_int32(env, arguments[3], &depth) != napi_ok) {
    return refuse(env, "scan(bytes: Uint8Array, length: number, spans: Int32Array, maxDepth: number)");
  }
  State* state = static_cast<State*>(data);
  return number(env, state->scanner.scan(bytes.data, length, reinterpret_cast<int32_t*>(spans.data), depth));
}

napi_value split_batch(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  Bytes bytes;
  Bytes out;
  size_t length;
  if (count < 3 || !typed_array(env, arguments[0], napi_uint8_array, &bytes) ||
      !unsigned_number(env, arguments[1], &length) || length > bytes.length ||
      !typed_array(env, arguments[2], napi_int32_array, &out)) {
    return refuse(env, "splitBatch(bytes: Uint8Array, length: number, out: Int32Array)");
  }
  return number(env, state_of(env)->scanner.split(bytes.data, length, reinterpret_cast<int32_t*>(out.data), out.length));
}

napi_value hash(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t count = 4;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  Bytes bytes;
  Bytes out;
  size_t start;
  size_t end;
  if (count < 4 || !typed_array(env, arguments[0], napi_uint8_array, &bytes) ||
      !unsigned_number(env, arguments[1], &start) || !unsigned_number(env, arguments[2], &end) ||
      end > bytes.length || start > end || !typed_array(env, arguments[3], napi_int32_array, &out) ||
      out.length < 2) {
    return refuse(env, "hash(bytes: Uint8Array, start: number, end: number, out: Int32Array)");
  }
  static_cast<State*>(data)->scanner.hash(bytes.data + start, end - start, reinterpret_cast<int32_t*>(out.data));
  return nullptr;
}

napi_value canonical(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t count = 4;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  Bytes bytes;
  Bytes out;
  size_t start;
  size_t end;
  if (count < 4 || !typed_array(env, arguments[0], napi_uint8_array, &bytes) ||
      !unsigned_number(env, arguments[1], &start) || !unsigned_number(env, arguments[2], &end) ||
      end > bytes.length || start > end || !typed_array(env, arguments[3], napi_uint8_array, &out) ||
      out.length < end - start) {
    return refuse(env, "canonical(bytes: Uint8Array, start: number, end: number, out: Uint8Array)");
  }
  return number(env, static_cast<int32_t>(write_canonical(bytes.data + start, end - start, out.data)));
}

Napi::Value seed(const Napi::CallbackInfo& info) {
  const uint32_t low = info[0].ToNumber().Uint32Value();
  const uint32_t high = info[1].ToNumber().Uint32Value();
  state_of(info.Env())->scanner.seed(low, high);
  return info.Env().Undefined();
}

void add_hot(Napi::Env env, Napi::Object exports, const char* name, napi_callback callback, State* state) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, state, &function);
  exports.Set(name, Napi::Value(env, function));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  State* state = new State();
  env.SetInstanceData<State>(state);
  add_hot(env, exports, "scan", scan, state);
  add_hot(env, exports, "splitBatch", split_batch, state);
  add_hot(env, exports, "hash", hash, state);
  add_hot(env, exports, "canonical", canonical, state);
  exports.Set("seed", Napi::Function::New(env, seed, "seed"));
  exports.Set("kernel", Napi::String::New(env, Scanner::kernel()));
  exports.Set("spanCount", Napi::Number::New(env, kSpanCount));
  add_doorbell(env, exports);
  add_uws_reads(env, exports);
  return exports;
}

}  // namespace
}  // namespace switchyard

static Napi::Object switchyard_initialize(Napi::Env env, Napi::Object exports) {
  return switchyard::initialize(env, exports);
}

NODE_API_MODULE(switchyard, switchyard_initialize)
