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

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <cstring>
#include <unordered_map>
#include <vector>

#include "chunk-framing.h"
#include "early-reads.h"
#include "head-faults.h"
#include "uws-library.h"

namespace switchyard {
namespace {

struct Body {
  int32_t id;
  ChunkFraming framing;
};

// Slots of the memory that is shared with JavaScript.
enum Signal { kReads, kHandled, kDescriptor, kAdmitted, kSignals };

constexpr uint32_t kHeadEnd = 0x0d0a0d0a;

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
  EarlyReads early;
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
  const EarlyRefusals* const early = isOpen ? reads->early.overloaded(reads->library, socket) : nullptr;
  const Early outcome = early == nullptr ? Early::unjudged
                                         : reads->early.judge(*early, reads->library, socket, descriptor, reads->data, reads->length,
                                                              has_pending_answer(reads, descriptor));
  if (outcome == Early::admitted) signals[kAdmitted] = signals[kReads];
  if (outcome == Early::refused) {
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
  here->early.clear();
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
    reads->early.watch(loop);
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
  if (search.isFound && info[3].IsObject()) here->early.keep(search.context, info[3].As<Napi::Object>());
  return Napi::Boolean::New(env, search.isFound);
}

// forgetReads(early): the listener is closed.
Napi::Value forget_reads(const Napi::CallbackInfo& info) {
  if (here != nullptr && info[0].IsObject()) here->early.forget(info[0].As<Napi::Object>());
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
