// switchyard-launcher [-g GRACE_MS] FD COMMAND [ARG...]
//
// Runs COMMAND so that nothing of it outlives the gateway, not even when the gateway is killed with SIGKILL:
// FD is the read end of a pipe whose write end only the gateway holds, and it breaks when the gateway ends.
//
//   gateway ──pipe──> launcher ──> COMMAND (own session and group) ──> its children
//
// The launcher is a subreaper: descendants whose parents have ended become its children, also those that
// made a session of their own, so that it finds all of them. Signals: TERM, INT and HUP are passed on to
// the group and start the grace period; a second one ends it.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { kDefaultGraceMs = 2000, kMaxGraceMs = 60000, kSweepMs = 10, kSweeps = 500, kUsage = 64, kCannotFork = 126, kCannotExec = 127 };

static int wake_pipe[2];
static volatile sig_atomic_t last_signal = 0;

static void on_signal(int number) {
  const int saved = errno;
  if (number != SIGCHLD) last_signal = number;
  const char byte = (char)number;
  // When the pipe is full there is a wake-up in it already.
  if (write(wake_pipe[1], &byte, 1) < 0) errno = saved;
  errno = saved;
}

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(int code, const char* what) {
  fprintf(stderr, "switchyard-launcher: %s: %s\n", what, strerror(errno));
  return code;
}

// A whole decimal number within [0, limit], or -1.
static int parse_number(const char* text, int limit) {
  char* end;
  errno = 0;
  const long value = strtol(text, &end, 10);
  return errno != 0 || end == text || *end != '\0' || value < 0 || value > limit ? -1 : (int)value;
}

#ifdef __linux__
struct process {
  pid_t pid;
  pid_t parent;
  bool ours;
};

// The parent of a process; 0 when it has ended. In /proc/PID/stat the name, in parentheses, may hold anything.
static pid_t parent_of(const char* pid) {
  char path[64];
  char text[512];
  snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* name_end = strrchr(text, ')');
  int parent = 0;
  if (name_end == NULL || sscanf(name_end + 1, " %*c %d", &parent) != 1) return 0;
  return parent;
}

// Sends a signal to every descendant, whatever its group.
static void signal_descendants(int number) {
  DIR* folder = opendir("/proc");
  if (folder == NULL) return;
  struct process* processes = NULL;
  size_t count = 0;
  size_t capacity = 0;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    const pid_t parent = parent_of(entry->d_name);
    if (parent == 0) continue;
    if (count == capacity) {
      capacity = capacity == 0 ? 256 : capacity * 2;
      struct process* grown = realloc(processes, capacity * sizeof(*processes));
      if (grown == NULL) break;
      processes = grown;
    }
    processes[count++] = (struct process){(pid_t)atoi(entry->d_name), parent, false};
  }
  closedir(folder);
  const pid_t self = getpid();
  for (bool found = true; found;) {
    found = false;
    for (size_t index = 0; index < count; index++) {
      struct process* process = &processes[index];
      if (process->ours || process->pid == self) continue;
      bool descends = process->parent == self;
      for (size_t other = 0; !descends && other < count; other++) {
        descends = processes[other].ours && processes[other].pid == process->parent;
      }
      if (!descends) continue;
      process->ours = true;
      found = true;
      kill(process->pid, number);
    }
  }
  free(processes);
}
#else
static void signal_descendants(int number) { (void)number; }
#endif

// Once the command has been reaped its number may name another group; its descendants are then all
// that is left, and on Linux they are all found.
static void signal_everyone(pid_t child, bool child_ended, int number) {
#ifdef __linux__
  if (!child_ended) kill(-child, number);
#else
  (void)child_ended;
  kill(-child, number);
#endif
  signal_descendants(number);
}

// Reaps children that have ended. Returns whether any child is left.
static bool reap(pid_t child, bool* child_ended, int* child_status) {
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) return true;
    if (pid < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (pid == child) {
      *child_ended = true;
      *child_status = status;
    }
  }
}

static void run_command(char** command, const sigset_t* mask) {
  setsid();
#ifdef __linux__
  // When the launcher itself is killed with SIGKILL, at least the command ends too.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(command[0], command);
  fprintf(stderr, "switchyard-launcher: %s could not be started: %s\n", command[0], strerror(errno));
  _exit(kCannotExec);
}

// Closes the standard input and output, so that the gateway sees when the command closes them.
static void drop_stdio(void) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  if (null > STDERR_FILENO) close(null);
}

// Whether the gateway has ended. It never writes; bytes that arrive nevertheless are ignored.
static bool is_broken(int pipe_end) {
  char ignored[256];
  const ssize_t length = read(pipe_end, ignored, sizeof(ignored));
  return length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
}

static int supervise(pid_t child, int gateway, int grace_ms) {
  bool child_ended = false;
  int status = 0;
  bool stopping = false;
  bool broken = false;
  long long deadline = 0;
  for (;;) {
    if (!reap(child, &child_ended, &status)) break;
    const bool first_stop = !stopping;
    if (last_signal != 0) {
      if (!child_ended) kill(-child, last_signal);
      last_signal = 0;
      if (stopping) deadline = 0;
      stopping = true;
    }
    if (broken && first_stop) {
      kill(-child, SIGTERM);
      stopping = true;
    }
    if (child_ended && first_stop) {
      // Processes that the command has left behind have no owner.
      signal_everyone(child, child_ended, SIGTERM);
      stopping = true;
    }
    if (stopping && first_stop) deadline = now_ms() + grace_ms;
    long long left = stopping ? deadline - now_ms() : -1;
    if (stopping && left <= 0) break;
    struct pollfd polled[2] = {{wake_pipe[0], POLLIN, 0}, {broken ? -1 : gateway, POLLIN, 0}};
    if (poll(polled, 2, (int)left) < 0 && errno != EINTR) break;
    if (polled[0].revents != 0) {
      char drained[64];
      while (read(wake_pipe[0], drained, sizeof(drained)) > 0) continue;
    }
    if (polled[1].revents != 0) broken = is_broken(gateway);
  }
  // Each sweep finds what the previous one orphaned or what was being forked meanwhile.
  for (int sweep = 0; sweep < kSweeps && reap(child, &child_ended, &status); sweep++) {
    signal_everyone(child, child_ended, SIGKILL);
    poll(NULL, 0, kSweepMs);
  }
  if (!child_ended) return 128 + SIGKILL;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int count, char** arguments) {
  int next = 1;
  int grace_ms = kDefaultGraceMs;
  if (count > 2 && strcmp(arguments[1], "-g") == 0) {
    grace_ms = parse_number(arguments[2], kMaxGraceMs);
    next = 3;
  }
  const int gateway = next < count ? parse_number(arguments[next], 1 << 20) : -1;
  if (count < next + 2 || grace_ms < 0 || gateway <= STDERR_FILENO) {
    fputs("usage: switchyard-launcher [-g GRACE_MS] FD COMMAND [ARG...]\n", stderr);
    return kUsage;
  }
  if (fcntl(gateway, F_SETFD, FD_CLOEXEC) < 0 || fcntl(gateway, F_SETFL, O_NONBLOCK) < 0) {
    return fail(kUsage, "FD is not open");
  }
  // Out of the terminal's group: Ctrl-C is for the gateway, which then stops its children in order.
  setsid();
#ifdef __linux__
  prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
  if (pipe(wake_pipe) < 0) return fail(kCannotFork, "no pipe");
  for (int end = 0; end < 2; end++) {
    fcntl(wake_pipe[end], F_SETFD, FD_CLOEXEC);
    fcntl(wake_pipe[end], F_SETFL, O_NONBLOCK);
  }
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigset_t mask;
  sigemptyset(&mask);
  const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
  for (size_t index = 0; index < sizeof(handled) / sizeof(*handled); index++) sigaction(handled[index], &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  const pid_t child = fork();
  if (child < 0) return fail(kCannotFork, "fork");
  if (child == 0) run_command(arguments + next + 1, &mask);
  drop_stdio();
  return supervise(child, gateway, grace_ms);
}
