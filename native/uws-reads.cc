// Observes the bytes that uWebSockets.js reads from a connection before they are parsed.
//
// Its parser decodes chunked bodies itself, accepts a line feed alone after a chunk's size and any two bytes after its
// data, and shows only the decoded body. The socket library below it (uSockets) is in the same binary
// and exports its C functions: one of them sets the function that a listener's connections call with what they have read.
// That function is replaced by one that looks at the bytes and calls the old one:
//
//   socket ──> on_data ──> chunked body under way: ChunkFraming ──> the parser of uWebSockets.js ──> JavaScript
//
// The parser does not report many malformed heads: it waits for more bytes and closes the connection after ten seconds. When it
// has been given the end of a head and JavaScript was not called, the request is refused here; and so is one whose head
// has faults that the parser would hide (head-faults.h).
//
// Only exported functions are called. What is assumed beyond them is checked, and without it nothing is replaced: the
// library's poll handles point to its sockets and back, and setting the function changes one word of the listener's
// context, whose former value is the old function.
#include "uws-reads.h"

#ifndef _WIN32

#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <cstring>
#include <ctime>
#include <unordered_map>
#include <vector>

#include "chunk-framing.h"
#include "early-refusals.h"
#include "head-faults.h"

namespace switchyard {
namespace {

using OnData = void* (*)(void* socket, char* data, int length);

// Functions of uSockets. The first argument: whether the connection is encrypted, which ours are not.
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

struct Body {
  int32_t id;
  ChunkFraming framing;
};

// Slots of the memory that is shared with JavaScript.
enum Signal { kReads, kHandled, kDescriptor, kAdmitted, kSignals };

constexpr uint32_t kHeadEnd = 0x0d0a0d0a;

// A listener whose gateway may refuse requests early.
struct Listener {
  void* context;
  EarlyRefusals early;
  napi_ref memory;
};

// Of one thread, as uSockets' loop is.
struct Reads {
  Library library;
  OnData parser = nullptr;
  napi_env env = nullptr;
  napi_ref ended = nullptr;
  // Number of the read, number of the last one of which JavaScript has handled something, descriptor that was read.
  int32_t* signals = nullptr;
  // By descriptor, whether an answer is pending.
  const uint8_t* pending = nullptr;
  size_t pending_length = 0;
  // The answer to a malformed head.
  const char* refusal = nullptr;
  size_t refusal_length = 0;
  // The bytes that the parser is given.
  void* socket = nullptr;
  const uint8_t* data = nullptr;
  size_t length = 0;
  // Chunked bodies that are not whole, by socket.
  std::unordered_map<void*, Body> bodies;
  // The last three bytes read before, by descriptor: a head may end in one read and have begun its end in another.
  std::vector<uint32_t> tails;
  std::vector<Listener> listeners;
  // By descriptor, the overload in which the parser is known to be at the start of a request: it was given a whole one then.
  std::vector<int32_t> aligned;
  // The turn of the event loop by its clock, and the processor time of the thread when it began.
  const uv_loop_t* loop = nullptr;
  uint64_t turn = 0;
  double turn_began = 0;
  Scanner scanner;
  int32_t spans[kSpanCount];
};

thread_local Reads* here = nullptr;

void tell(Reads* reads, int32_t id, bool whole) {
  napi_env env = reads->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback = nullptr;
  napi_value receiver = nullptr;
  napi_value arguments[2] = {nullptr, nullptr};
  napi_get_reference_value(env, reads->ended, &callback);
  napi_get_global(env, &receiver);
  napi_create_int32(env, id, &arguments[0]);
  napi_get_boolean(env, whole, &arguments[1]);
  if (napi_make_callback(env, nullptr, receiver, callback, 2, arguments, nullptr) == napi_pending_exception) {
    napi_value error = nullptr;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

// Validates what has arrived of a chunked body. False when nothing of it may reach the parser.
bool judge(Reads* reads, void* socket, const std::unordered_map<void*, Body>::iterator found) {
  const ChunkFraming::State state = found->second.framing.feed(reads->data, reads->length);
  if (state == ChunkFraming::State::open) return true;
  const int32_t id = found->second.id;
  const bool whole = state == ChunkFraming::State::whole;
  // A broken body stays in the table: until its connection is closed, nothing of it is read.
  if (whole) reads->bodies.erase(found);
  tell(reads, id, whole);
  return whole && reads->library.is_closed(0, socket) == 0;
}

// Whether the end of a request head is among the bytes, of which `tail` holds the three before them.
bool ends_head(uint32_t tail, const uint8_t* data, size_t length, size_t* end) {
  size_t at = 0;
  // The end may have begun in the read before.
  while (at < length && at < 3) {
    tail = (tail << 8) | data[at++];
    if (tail == kHeadEnd) {
      *end = at;
      return true;
    }
  }
  const void* found = length < 4 ? nullptr : memmem(data, length, "\r\n\r\n", 4);
  if (found == nullptr) return false;
  *end = static_cast<size_t>(static_cast<const uint8_t*>(found) - data) + 4;
  return true;
}

// How long what a client still sends is read and dropped after the last answer, in seconds. A connection that is closed
// at once is reset, and then the client may lose the answer (RFC 9112 section 9.6).
constexpr unsigned int kLingerSeconds = 5;

// Writes the last answer past the buffer of uWebSockets.js. Its parser stops at a socket whose sending side has ended,
// reads nothing more from it, and closes it when the client does or the time is over.
void answer_last(Reads* reads, void* socket, const char* bytes, size_t length) {
  reads->library.write(0, socket, bytes, static_cast<int>(length), 0);
  reads->library.shutdown(0, socket);
  reads->library.timeout(0, socket, kLingerSeconds);
}

bool has_pending_answer(const Reads* reads, size_t descriptor) {
  return descriptor >= reads->pending_length || reads->pending[descriptor] != 0;
}

// Refuses a request that the parser does not report, or must not get. Behind one that is not answered the connection
// is just closed, as uWebSockets.js closes it at any request there.
void refuse(Reads* reads, void* socket, size_t descriptor) {
  if (has_pending_answer(reads, descriptor)) {
    reads->library.close(0, socket, 0, nullptr);
  } else {
    answer_last(reads, socket, reads->refusal, reads->refusal_length);
  }
}

// Whether the bytes that were read are, or contain, a head that must not reach the parser.
bool has_faults(const Reads* reads, size_t descriptor, uint32_t tail) {
  const bool is_head = !has_pending_answer(reads, descriptor);
  size_t end = reads->length;
  if (is_head) {
    ends_head(tail, reads->data, reads->length, &end);
    if (breaks_lines(reads->data, end, static_cast<uint8_t>(tail))) return true;
  }
  return hides_bytes(reads->data, reads->length, is_head);
}

// The memory of the listener that a socket belongs to, if its gateway is overloaded.
const EarlyRefusals* overloaded(const Reads* reads, void* socket) {
  const void* context = nullptr;
  for (const Listener& listener : reads->listeners) {
    if (listener.early.control[EarlyControl::kEpisode] == 0) continue;
    if (context == nullptr) context = reads->library.context(0, socket);
    if (listener.context == context) return &listener.early;
  }
  return nullptr;
}

// How long a connection may be idle, in seconds, as uWebSockets.js has it.
constexpr unsigned int kIdleSeconds = 10;
// Of uSockets on libuv: it waits for nothing but bytes of the client.
constexpr int kOnlyReadable = 1;

// Processor time of the thread in this turn of the event loop, in milliseconds: time in which the system runs something else is
// no work that could be refused. The clock of the loop stands still for a turn.
double turn_ms(Reads* reads) {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  const double now = static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
  const uint64_t turn = uv_now(reads->loop);
  if (turn != reads->turn) {
    reads->turn = turn;
    reads->turn_began = now;
  }
  return now - reads->turn_began;
}

// Refuses the request that was read, if it can be refused without the parser; false = the parser gets it.
//
// The bytes have to be the start of a request. A connection whose answer is pending, or whose body is being read, is excluded by
// `pending`. A part of a head that the parser holds back is excluded by `aligned`: the read before was a whole request that the
// parser was given, after which it holds nothing back, or it was refused here.
bool refuse_early(Reads* reads, const EarlyRefusals& early, void* socket, size_t descriptor) {
  const int32_t episode = early.control[EarlyControl::kEpisode];
  if (descriptor >= reads->aligned.size()) reads->aligned.resize(descriptor * 2 + 64);
  int32_t& aligned = reads->aligned[descriptor];
  const bool is_aligned = aligned == episode;
  aligned = 0;
  if (has_pending_answer(reads, descriptor)) return false;
  const size_t start = plain_post(reads->data, reads->length);
  const size_t length = reads->length - start;
  if (start == 0 || length > static_cast<size_t>(early.control[EarlyControl::kMaxBody])) return false;
  aligned = episode;
  // Bytes of an answer before may wait for the client: nothing must come in between.
  if (!is_aligned || reads->library.poll_events(socket) != kOnlyReadable) return false;
  const uint8_t* const body = reads->data + start;
  const int32_t* const spans = reads->spans;
  if (reads->scanner.scan(body, length, reads->spans, early.control[EarlyControl::kMaxDepth]) != ScanStatus::ok) return false;
  bool judged = false;
  if (!refuses(early, spans, turn_ms(reads), &judged)) {
    if (judged) reads->signals[kAdmitted] = reads->signals[kReads];
    return false;
  }
  char answer[2048];
  const size_t id_length = static_cast<size_t>(spans[Span::idEnd] - spans[Span::idStart]);
  const int size = static_cast<int>(early_answer(early, body + spans[Span::idStart], id_length, answer));
  if (reads->library.write(0, socket, answer, size, 0) != size) reads->library.close(0, socket, 0, nullptr);
  else reads->library.timeout(0, socket, kIdleSeconds);
  return true;
}

void* on_data(void* socket, char* data, int length) {
  Reads* const reads = here;
  int32_t* const signals = reads->signals;
  const size_t descriptor = static_cast<size_t>(reinterpret_cast<intptr_t>(reads->library.descriptor(0, socket)));
  signals[kReads] = static_cast<int32_t>(static_cast<uint32_t>(signals[kReads]) + 1);
  signals[kDescriptor] = static_cast<int32_t>(descriptor);
  reads->socket = socket;
  reads->data = reinterpret_cast<uint8_t*>(data);
  reads->length = static_cast<size_t>(length);
  if (descriptor >= reads->tails.size()) reads->tails.resize(descriptor * 2 + 64);
  const uint32_t before = reads->tails[descriptor];
  const auto body = reads->bodies.empty() ? reads->bodies.end() : reads->bodies.find(socket);
  const bool isBody = body != reads->bodies.end();
  void* result = socket;
  const bool isOpen = !isBody && reads->library.is_shut_down(0, socket) == 0;
  const EarlyRefusals* const early = isOpen ? overloaded(reads, socket) : nullptr;
  if (early != nullptr && refuse_early(reads, *early, socket, descriptor)) {
    signals[kHandled] = signals[kReads];
  } else if (!isBody && reads->library.is_shut_down(0, socket) == 0 && has_faults(reads, descriptor, before)) {
    refuse(reads, socket, descriptor);
  } else if (!isBody || judge(reads, socket, body)) {
    result = reads->parser(socket, data, length);
  }
  uint32_t tail = before;
  for (int at = length > 3 ? length - 3 : 0; at < length; at++) tail = (tail << 8) | static_cast<uint8_t>(data[at]);
  reads->tails[descriptor] = tail & 0xffffff;
  size_t end;
  if (!isBody && signals[kHandled] != signals[kReads] && result == socket &&
      reads->library.is_closed(0, socket) == 0 && reads->library.is_shut_down(0, socket) == 0 && ends_head(before, reads->data, reads->length, &end)) {
    refuse(reads, socket, descriptor);
  }
  reads->socket = nullptr;
  return result;
}

struct Search {
  Reads* reads;
  int port;
  bool isFound;
  void* context;
};

int port_of(int descriptor) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  return address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port) : 0;
}

bool replace(Reads* reads, void* context) {
  constexpr size_t kWords = 16;
  void* before[kWords];
  void* after[kWords];
  memcpy(before, context, sizeof before);
  reads->library.set_on_data(0, context, on_data);
  memcpy(after, context, sizeof after);
  void* former = nullptr;
  size_t changes = 0;
  for (size_t at = 0; at < kWords; at++) {
    if (before[at] == after[at]) continue;
    former = before[at];
    changes++;
  }
  const OnData parser = reinterpret_cast<OnData>(former);
  // All listeners of a binary have the same parser.
  if (changes == 1 && parser != nullptr && (reads->parser == nullptr || reads->parser == parser)) {
    reads->parser = parser;
    return true;
  }
  if (changes == 1 && parser != nullptr) reads->library.set_on_data(0, context, parser);
  return false;
}

void on_handle(uv_handle_t* handle, void* data) {
  Search* search = static_cast<Search*>(data);
  const Library& library = search->reads->library;
  uv_os_fd_t descriptor;
  if (search->isFound || uv_handle_get_type(handle) != UV_POLL || uv_fileno(handle, &descriptor) != 0) return;
  int listens = 0;
  socklen_t size = sizeof listens;
#ifdef SO_ACCEPTCONN
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) return;
#endif
  if (port_of(descriptor) != search->port) return;
  void* const socket = handle->data;
  if (socket == nullptr || *static_cast<void**>(socket) != handle || library.poll_descriptor(socket) != descriptor) return;
  search->context = library.context(0, socket);
  search->isFound = replace(search->reads, search->context);
}

void on_environment_end(void*) {
  // The listeners are closed with the environment; a late read must not use freed memory.
  if (here == nullptr) return;
  here->bodies.clear();
  here->listeners.clear();
}

template <typename Element>
size_t memory_of(napi_env env, napi_value array, Element** out) {
  void* memory = nullptr;
  size_t length = 0;
  napi_get_typedarray_info(env, array, nullptr, &length, &memory, nullptr, nullptr);
  // Kept for good, as the listeners of the thread may be.
  napi_ref reference = nullptr;
  napi_create_reference(env, array, 1, &reference);
  *out = static_cast<Element*>(memory);
  return length;
}

template <typename Element>
Element* view_of(napi_env env, Napi::Object memory, const char* name) {
  void* view = nullptr;
  napi_get_typedarray_info(env, memory.Get(name), nullptr, nullptr, &view, nullptr, nullptr);
  return static_cast<Element*>(view);
}

// Remembers the memory of a listener (early-refusals.ts), in the place of a closed one at the same address.
void keep_early(napi_env env, Reads* reads, void* context, Napi::Object memory) {
  Listener listener = {context, {}, nullptr};
  EarlyRefusals& early = listener.early;
  early.control = view_of<int32_t>(env, memory, "control");
  early.positions = view_of<int8_t>(env, memory, "positions");
  early.arrivals = view_of<int32_t>(env, memory, "arrivals");
  early.admitted = view_of<int32_t>(env, memory, "admitted");
  early.budgets = view_of<double>(env, memory, "budgets");
  early.due = view_of<double>(env, memory, "due");
  early.shares = view_of<double>(env, memory, "shares");
  early.refused = view_of<int32_t>(env, memory, "refused");
  early.answer = view_of<char>(env, memory, "answer");
  napi_create_reference(env, memory, 1, &listener.memory);
  for (Listener& known : reads->listeners) {
    if (known.context != context) continue;
    napi_delete_reference(env, known.memory);
    known = listener;
    return;
  }
  reads->listeners.push_back(listener);
}

// watchReads(library: string, port: number, memory, early): boolean; memory = { signals, pending, refusal, ended }, see
// uws-reads.ts; early see early-refusals.ts.
Napi::Value watch_reads(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uv_loop_t* loop = nullptr;
  if (!info[0].IsString() || !info[1].IsNumber() || !info[2].IsObject()) {
    Napi::TypeError::New(env, "watchReads(library, port, memory)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return Napi::Boolean::New(env, false);
  if (here == nullptr) {
    Reads* reads = new Reads();
    if (!reads->library.load(info[0].As<Napi::String>().Utf8Value().c_str())) {
      delete reads;
      return Napi::Boolean::New(env, false);
    }
    reads->env = env;
    reads->loop = loop;
    Napi::Object memory = info[2].As<Napi::Object>();
    memory_of(env, memory.Get("signals"), &reads->signals);
    reads->pending_length = memory_of(env, memory.Get("pending"), &reads->pending);
    reads->refusal_length = memory_of(env, memory.Get("refusal"), &reads->refusal);
    napi_create_reference(env, memory.Get("ended"), 1, &reads->ended);
    napi_add_env_cleanup_hook(env, on_environment_end, nullptr);
    here = reads;
  }
  Search search = {here, info[1].As<Napi::Number>().Int32Value(), false, nullptr};
  // 0 only checks whether the library has what is needed.
  if (search.port == 0) return Napi::Boolean::New(env, true);
  uv_walk(loop, on_handle, &search);
  if (search.isFound && info[3].IsObject()) keep_early(env, here, search.context, info[3].As<Napi::Object>());
  return Napi::Boolean::New(env, search.isFound);
}

// forgetReads(early): the listener is closed.
Napi::Value forget_reads(const Napi::CallbackInfo& info) {
  if (here == nullptr || !info[0].IsObject()) return info.Env().Undefined();
  const int32_t* const control = view_of<int32_t>(info.Env(), info[0].As<Napi::Object>(), "control");
  for (auto listener = here->listeners.begin(); listener != here->listeners.end(); ++listener) {
    if (listener->early.control != control) continue;
    napi_delete_reference(info.Env(), listener->memory);
    here->listeners.erase(listener);
    break;
  }
  return info.Env().Undefined();
}

// checkChunks(id: number): 0 = incomplete, 1 = whole, 2 = broken. Called while the head of the request is handled, which
// must be the first of what this read brought.
Napi::Value check_chunks(const Napi::CallbackInfo& info) {
  Reads* const reads = here;
  ChunkFraming framing;
  ChunkFraming::State state = ChunkFraming::State::broken;
  if (reads != nullptr && reads->socket != nullptr) {
    const size_t descriptor =
        static_cast<size_t>(reinterpret_cast<intptr_t>(reads->library.descriptor(0, reads->socket)));
    size_t end;
    if (ends_head(reads->tails[descriptor], reads->data, reads->length, &end)) {
      state = framing.feed(reads->data + end, reads->length - end);
    }
    if (state == ChunkFraming::State::open) {
      reads->bodies.insert_or_assign(reads->socket, Body{info[0].ToNumber().Int32Value(), framing});
    }
  }
  return Napi::Number::New(info.Env(), static_cast<int>(state));
}

// forgetChunks(id: number): the request has ended.
Napi::Value forget_chunks(const Napi::CallbackInfo& info) {
  if (here == nullptr) return info.Env().Undefined();
  const int32_t id = info[0].ToNumber().Int32Value();
  for (auto body = here->bodies.begin(); body != here->bodies.end(); ++body) {
    if (body->second.id != id) continue;
    here->bodies.erase(body);
    break;
  }
  return info.Env().Undefined();
}

// answerNow(bytes: Uint8Array): boolean. The last answer of the connection whose bytes are being read.
Napi::Value answer_now(const Napi::CallbackInfo& info) {
  Reads* const reads = here;
  if (reads == nullptr || reads->socket == nullptr || !info[0].IsTypedArray()) {
    return Napi::Boolean::New(info.Env(), false);
  }
  void* memory = nullptr;
  size_t length = 0;
  napi_get_typedarray_info(info.Env(), info[0], nullptr, &length, &memory, nullptr, nullptr);
  answer_last(reads, reads->socket, static_cast<const char*>(memory), length);
  return Napi::Boolean::New(info.Env(), true);
}

}  // namespace

void add_uws_reads(Napi::Env env, Napi::Object exports) {
  exports.Set("watchReads", Napi::Function::New(env, watch_reads, "watchReads"));
  exports.Set("forgetReads", Napi::Function::New(env, forget_reads, "forgetReads"));
  exports.Set("checkChunks", Napi::Function::New(env, check_chunks, "checkChunks"));
  exports.Set("forgetChunks", Napi::Function::New(env, forget_chunks, "forgetChunks"));
  exports.Set("answerNow", Napi::Function::New(env, answer_now, "answerNow"));
}

}  // namespace switchyard

#else

namespace switchyard {

void add_uws_reads(Napi::Env env, Napi::Object exports) {
  exports.Set("watchReads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return Napi::Boolean::New(info.Env(), false);
              }));
}

}  // namespace switchyard

#endif
