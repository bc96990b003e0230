// Bells of the process. A bell belongs to the thread that made it and is rung by any:
//
//   handle = generation * kSlots + slot        slot ──> { mutex, generation, bell } ──> uv_async_t of the owner's loop
//
// The slot's mutex covers the check for the bell and uv_async_send together: sending to a closed loop aborts
// the process (libuv), so a closed bell is removed from its slot before uv_close begins.
// Handles from JavaScript are numbers that are checked, never pointers.
#include "doorbell.h"

#include <uv.h>

#include <mutex>

namespace switchyard {
namespace {

constexpr int64_t kSlots = 4096;

struct Bell {
  uv_async_t async;
  napi_env env = nullptr;
  napi_ref callback = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  int64_t handle = 0;
};

struct Slot {
  std::mutex mutex;
  Bell* bell = nullptr;
  int64_t generation = 0;
};

// Never freed: a thread may ring while the process exits.
Slot* table() {
  static Slot* const slots = new Slot[kSlots];
  return slots;
}

void on_ring(uv_async_t* async) {
  Bell* bell = static_cast<Bell*>(async->data);
  napi_env env = bell->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback = nullptr;
  napi_value receiver = nullptr;
  napi_get_reference_value(env, bell->callback, &callback);
  napi_get_global(env, &receiver);
  // A callback of its own, so that microtasks and nextTick run after it as after any other event.
  if (napi_make_callback(env, nullptr, receiver, callback, 0, nullptr, nullptr) == napi_pending_exception) {
    napi_value error = nullptr;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

void on_closed(uv_handle_t* handle) {
  Bell* bell = static_cast<Bell*>(handle->data);
  napi_delete_reference(bell->env, bell->callback);
  // Continues the environment's shutdown, if that closed the bell.
  napi_remove_async_cleanup_hook(bell->hook);
  delete bell;
}

// Removes the bell from the table. False when it is not there, or belongs to another thread, whose loop only
// that thread may use.
bool detach(int64_t handle, napi_env env, Bell** out) {
  Slot& slot = table()[handle % kSlots];
  const std::lock_guard<std::mutex> lock(slot.mutex);
  if (slot.bell == nullptr || slot.bell->handle != handle || slot.bell->env != env) return false;
  *out = slot.bell;
  slot.bell = nullptr;
  return true;
}

void on_environment_end(napi_async_cleanup_hook_handle, void* data) {
  Bell* bell = static_cast<Bell*>(data);
  Bell* detached;
  // Otherwise it is closing already, and on_closed follows.
  if (detach(bell->handle, bell->env, &detached)) uv_close(reinterpret_cast<uv_handle_t*>(&bell->async), on_closed);
}

bool attach(Bell* bell) {
  Slot* slots = table();
  for (int64_t index = 0; index < kSlots; index++) {
    Slot& slot = slots[index];
    const std::lock_guard<std::mutex> lock(slot.mutex);
    if (slot.bell != nullptr) continue;
    slot.generation++;
    bell->handle = slot.generation * kSlots + index;
    slot.bell = bell;
    return true;
  }
  return false;
}

Napi::Value create_doorbell(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    Napi::TypeError::New(env, "createDoorbell(onRing: () => void)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  uv_loop_t* loop = nullptr;
  Bell* bell = new Bell();
  bell->env = env;
  bell->async.data = bell;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_async_init(loop, &bell->async, on_ring) != 0) {
    delete bell;
    Napi::Error::New(env, "The event loop takes no doorbell.").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&bell->async));
  napi_create_reference(env, info[0], 1, &bell->callback);
  napi_add_async_cleanup_hook(env, on_environment_end, bell, &bell->hook);
  if (!attach(bell)) {
    uv_close(reinterpret_cast<uv_handle_t*>(&bell->async), on_closed);
    Napi::RangeError::New(env, "Too many doorbells are open.").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Number::New(env, static_cast<double>(bell->handle));
}

Napi::Value close_doorbell(const Napi::CallbackInfo& info) {
  const int64_t handle = info[0].ToNumber().Int64Value();
  Bell* bell;
  if (handle > 0 && detach(handle, info.Env(), &bell)) {
    uv_close(reinterpret_cast<uv_handle_t*>(&bell->async), on_closed);
  }
  return info.Env().Undefined();
}

napi_value ring(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  size_t count = 1;
  int64_t handle = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (count < 1 || napi_get_value_int64(env, argument, &handle) != napi_ok || handle <= 0) return nullptr;
  Slot& slot = table()[handle % kSlots];
  const std::lock_guard<std::mutex> lock(slot.mutex);
  if (slot.bell != nullptr && slot.bell->handle == handle) uv_async_send(&slot.bell->async);
  return nullptr;
}

}  // namespace

void add_doorbell(Napi::Env env, Napi::Object exports) {
  exports.Set("createDoorbell", Napi::Function::New(env, create_doorbell, "createDoorbell"));
  exports.Set("closeDoorbell", Napi::Function::New(env, close_doorbell, "closeDoorbell"));
  napi_value function = nullptr;
  napi_create_function(env, "ring", NAPI_AUTO_LENGTH, ring, nullptr, &function);
  exports.Set("ring", Napi::Value(env, function));
}

}  // namespace switchyard
