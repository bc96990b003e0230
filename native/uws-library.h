// The exported functions of uSockets, the socket library in the binary of uWebSockets.js.
#ifndef SWITCHYARD_UWS_LIBRARY_H
#define SWITCHYARD_UWS_LIBRARY_H

#include <dlfcn.h>

namespace switchyard {

using OnData = void* (*)(void* socket, char* data, int length);

// The first argument of most: whether the connection is encrypted, which ours are not.
struct Library {
  void* (*context)(int, void* socket) = nullptr;
  void (*set_on_data)(int, void* context, OnData) = nullptr;
  void* (*descriptor)(int, void* socket) = nullptr;
  int (*poll_descriptor)(void* poll) = nullptr;
  int (*write)(int, void* socket, const char* bytes, int length, int more) = nullptr;
  void (*shutdown)(int, void* socket) = nullptr;
  void* (*close)(int, void* socket, int code, void* reason) = nullptr;
  void (*timeout)(int, void* socket, unsigned int seconds) = nullptr;
  int (*is_closed)(int, void* socket) = nullptr;
  int (*is_shut_down)(int, void* socket) = nullptr;
  int (*poll_events)(void* poll) = nullptr;

  bool load(const char* path) {
    void* handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) return false;
    const bool isWhole = find(handle, "us_socket_context", &context) &&
                         find(handle, "us_socket_context_on_data", &set_on_data) &&
                         find(handle, "us_socket_get_native_handle", &descriptor) &&
                         find(handle, "us_poll_fd", &poll_descriptor) && find(handle, "us_socket_write", &write) &&
                         find(handle, "us_socket_shutdown", &shutdown) && find(handle, "us_socket_close", &close) &&
                         find(handle, "us_socket_timeout", &timeout) &&
                         find(handle, "us_socket_is_closed", &is_closed) &&
                         find(handle, "us_socket_is_shut_down", &is_shut_down) &&
                         find(handle, "us_poll_events", &poll_events);
    dlclose(handle);
    return isWhole;
  }

 private:
  template <typename Function>
  static bool find(void* handle, const char* name, Function* out) {
    *out = reinterpret_cast<Function>(dlsym(handle, name));
    return *out != nullptr;
  }
};

}  // namespace switchyard

#endif
