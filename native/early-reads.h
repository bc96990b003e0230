// Refuses requests of overloaded gateways when uWebSockets.js has read them (early-refusals.h); a part of uws-reads.cc.
#ifndef SWITCHYARD_EARLY_READS_H
#define SWITCHYARD_EARLY_READS_H

#include <napi.h>
#include <uv.h>

#include <cstdint>
#include <ctime>
#include <vector>

#include "early-refusals.h"
#include "uws-library.h"

namespace switchyard {

// What becomes of a read; `unjudged` goes to the parser as any other.
enum class Early { unjudged, admitted, refused };

// Of one thread.
class EarlyReads {
 public:
  void watch(const uv_loop_t* loop) { loop_ = loop; }

  // Remembers the memory of a listener (early-refusals.ts), in the place of a closed one at the same address.
  void keep(void* context, Napi::Object memory) {
    Listener listener = {context, {}, nullptr};
    EarlyRefusals& early = listener.early;
    early.control = view_of<int32_t>(memory, "control");
    early.positions = view_of<int8_t>(memory, "positions");
    early.arrivals = view_of<int32_t>(memory, "arrivals");
    early.admitted = view_of<int32_t>(memory, "admitted");
    early.budgets = view_of<double>(memory, "budgets");
    early.due = view_of<double>(memory, "due");
    early.shares = view_of<double>(memory, "shares");
    early.refused = view_of<int32_t>(memory, "refused");
    early.answer = view_of<char>(memory, "answer");
    napi_create_reference(memory.Env(), memory, 1, &listener.memory);
    for (Listener& known : listeners_) {
      if (known.context != context) continue;
      napi_delete_reference(memory.Env(), known.memory);
      known = listener;
      return;
    }
    listeners_.push_back(listener);
  }

  // The listener with that memory is closed.
  void forget(Napi::Object memory) {
    const int32_t* const control = view_of<int32_t>(memory, "control");
    for (auto listener = listeners_.begin(); listener != listeners_.end(); ++listener) {
      if (listener->early.control != control) continue;
      napi_delete_reference(memory.Env(), listener->memory);
      listeners_.erase(listener);
      return;
    }
  }

  void clear() { listeners_.clear(); }

  // The memory of the listener that a socket belongs to, if its gateway is overloaded.
  const EarlyRefusals* overloaded(const Library& library, void* socket) const {
    const void* context = nullptr;
    for (const Listener& listener : listeners_) {
      if (listener.early.control[EarlyControl::kEpisode] == 0) continue;
      if (context == nullptr) context = library.context(0, socket);
      if (listener.context == context) return &listener.early;
    }
    return nullptr;
  }

  // Refuses the request that was read, if it is to be refused and needs no parser for that.
  //
  // The bytes have to be the start of a request. A connection whose answer is pending, or whose body is being read, is excluded
  // by `is_pending`. A part of a head that the parser holds back is excluded by `aligned_`: the read before was a whole
  // request that the parser was given, after which it holds nothing back, or it was refused here.
  Early judge(const EarlyRefusals& early, const Library& library, void* socket, size_t descriptor, const uint8_t* bytes,
              size_t size, bool is_pending) {
    const int32_t episode = early.control[EarlyControl::kEpisode];
    if (descriptor >= aligned_.size()) aligned_.resize(descriptor * 2 + 64);
    int32_t& aligned = aligned_[descriptor];
    const bool is_aligned = aligned == episode;
    aligned = 0;
    if (is_pending) return Early::unjudged;
    const size_t start = plain_post(bytes, size);
    const size_t length = size - start;
    if (start == 0 || length > static_cast<size_t>(early.control[EarlyControl::kMaxBody])) return Early::unjudged;
    aligned = episode;
    // Bytes of an answer before may wait for the client: nothing must come in between.
    if (!is_aligned || library.poll_events(socket) != kOnlyReadable) return Early::unjudged;
    const uint8_t* const body = bytes + start;
    if (scanner_.scan(body, length, spans_, early.control[EarlyControl::kMaxDepth]) != ScanStatus::ok) return Early::unjudged;
    bool is_judged = false;
    if (!refuses(early, spans_, turn_ms(), &is_judged)) return is_judged ? Early::admitted : Early::unjudged;
    char answer[kLongestEarlyAnswer];
    const size_t id_length = static_cast<size_t>(spans_[Span::idEnd] - spans_[Span::idStart]);
    const int answer_length = static_cast<int>(early_answer(early, body + spans_[Span::idStart], id_length, answer));
    if (library.write(0, socket, answer, answer_length, 0) != answer_length) library.close(0, socket, 0, nullptr);
    else library.timeout(0, socket, kIdleSeconds);
    return Early::refused;
  }

 private:
  struct Listener {
    void* context;
    EarlyRefusals early;
    napi_ref memory;
  };

  // How long a connection may be idle, in seconds, as uWebSockets.js has it.
  static constexpr unsigned int kIdleSeconds = 10;
  // Of uSockets on libuv: it waits for nothing but bytes of the client.
  static constexpr int kOnlyReadable = 1;
  static constexpr double kMostLeftMs = 10;
  // An answer of early-refusals.ts, the id, and digits.
  static constexpr size_t kLongestEarlyAnswer = 2048;

  template <typename Element>
  static Element* view_of(Napi::Object memory, const char* name) {
    void* view = nullptr;
    napi_get_typedarray_info(memory.Env(), memory.Get(name), nullptr, nullptr, &view, nullptr, nullptr);
    return static_cast<Element*>(view);
  }

  // Processor time of the thread in this turn of the event loop beyond what it had left since the one before, in milliseconds. Time
  // in which the system runs something else is no work that could be refused, and what has come meanwhile may be done
  // now. The clock of the loop stands still for a turn.
  double turn_ms() {
    timespec time = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    const double now = static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
    const uint64_t turn = uv_now(loop_);
    if (turn != turn_) {
      const double left = static_cast<double>(turn - turn_) - (now - turn_began_);
      left_ = left < 0 ? 0 : left < kMostLeftMs ? left : kMostLeftMs;
      turn_ = turn;
      turn_began_ = now;
    }
    return now - turn_began_ - left_;
  }

  std::vector<Listener> listeners_;
  // By descriptor, the overload in which the parser is known to be at the start of a request: it was given a whole one then.
  std::vector<int32_t> aligned_;
  const uv_loop_t* loop_ = nullptr;
  // The turn of the event loop by its clock, and the processor time of the thread when it began.
  uint64_t turn_ = 0;
  double turn_began_ = 0;
  double left_ = 0;
  Scanner scanner_;
  int32_t spans_[kSpanCount];
};

}  // namespace switchyard

#endif
