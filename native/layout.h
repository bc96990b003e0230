// Generated from layout.ts and keys.ts by layout-header.ts. Do not edit.
#pragma once

#include <cstdint>

namespace switchyard {

namespace Span {
enum : int32_t {
  kind = 0,
  method = 1,
  flags = 2,
  idStart = 3,
  idEnd = 4,
  methodStart = 5,
  methodEnd = 6,
  paramsStart = 7,
  paramsEnd = 8,
  nameStart = 9,
  nameEnd = 10,
  nameHashLow = 11,
  nameHashHigh = 12,
  argumentsStart = 13,
  argumentsEnd = 14,
  metaStart = 15,
  metaEnd = 16,
  progressTokenStart = 17,
  progressTokenEnd = 18,
  claimStart = 19,
  claimEnd = 20,
  capabilitiesStart = 21,
  capabilitiesEnd = 22,
  clientInfoStart = 23,
  clientInfoEnd = 24,
  levelStart = 25,
  levelEnd = 26,
  cursorStart = 27,
  cursorEnd = 28,
  requestIdStart = 29,
  requestIdEnd = 30,
  inputResponsesStart = 31,
  inputResponsesEnd = 32,
  requestStateStart = 33,
  requestStateEnd = 34,
  resultStart = 35,
  resultEnd = 36,
  errorStart = 37,
  errorEnd = 38,
  errorCode = 39,
  resultTypeStart = 40,
  resultTypeEnd = 41,
  batchCount = 42,
  traceparentStart = 43,
  traceparentEnd = 44,
  ttlMsStart = 45,
  ttlMsEnd = 46,
  cacheScopeStart = 47,
  cacheScopeEnd = 48,
  structuredContentStart = 49,
  structuredContentEnd = 50,
};
}

enum : int32_t { kSpanCount = 52 };

namespace Kind {
enum : int32_t {
  none = 0,
  request = 1,
  notification = 2,
  response = 3,
  batch = 4,
};
}

namespace Flag {
enum : int32_t {
  idIsString = 1,
  nameEscaped = 2,
  nameIsUri = 4,
  claimIsString = 8,
  capabilitiesIsObject = 16,
  metaIsObject = 32,
  progressTokenIsString = 64,
  isErrorResponse = 128,
  resultIsObject = 256,
  resultIsEmpty = 512,
  isError = 1024,
  hasCacheHints = 2048,
  resultComplete = 4096,
  resultInputRequired = 8192,
  structuredNotObject = 16384,
  paramsIsEmpty = 32768,
  metaIsEmpty = 65536,
  methodIsNotification = 131072,
  nameNotString = 262144,
  nameNotAscii = 524288,
  uriNotPlain = 1048576,
};
}

namespace ScanStatus {
enum : int32_t {
  ok = 0,
  notJson = 1,
  tooDeep = 2,
  ambiguous = 3,
  notJsonRpc = 4,
  badId = 5,
  badMethod = 6,
  badParams = 7,
  emptyBatch = 8,
};
}

namespace Method {
enum : int32_t {
  unknown = 0,
  initialize = 1,
  ping = 2,
  discover = 3,
  toolsList = 4,
  toolsCall = 5,
  promptsList = 6,
  promptsGet = 7,
  resourcesList = 8,
  templatesList = 9,
  resourcesRead = 10,
  resourcesSubscribe = 11,
  resourcesUnsubscribe = 12,
  subscriptionsListen = 13,
  complete = 14,
  setLevel = 15,
  tasksGet = 16,
  tasksResult = 17,
  tasksList = 18,
  tasksCancel = 19,
  tasksUpdate = 20,
  createMessage = 21,
  rootsList = 22,
  elicit = 23,
  initialized = 24,
  cancelled = 25,
  progress = 26,
  message = 27,
  toolsListChanged = 28,
  promptsListChanged = 29,
  resourcesListChanged = 30,
  resourceUpdated = 31,
  rootsListChanged = 32,
  acknowledged = 33,
  elicitationComplete = 34,
  tasksStatus = 35,
  tasksNotification = 36,
};
}

enum : int32_t { kMethodCount = 37 };

static const char* const kMethods[] = {
    "",
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "tasks/update",
    "sampling/createMessage",
    "roots/list",
    "elicitation/create",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/message",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/elicitation/complete",
    "notifications/tasks/status",
    "notifications/tasks",
};

enum : int32_t { kKeyCount = 34 };

// Numbers of the keys that a scan looks at, see keys.ts.
namespace Key {
enum : int32_t {
  jsonrpc = 0,
  id = 1,
  method = 2,
  params = 3,
  result = 4,
  error = 5,
  name = 6,
  uri = 7,
  meta = 8,
  arguments = 9,
  inputResponses = 10,
  requestState = 11,
  ref = 12,
  taskId = 13,
  cursor = 14,
  progressToken = 15,
  requestId = 16,
  level = 17,
  refName = 18,
  refUri = 19,
  refType = 20,
  claim = 21,
  capabilities = 22,
  clientInfo = 23,
  logLevel = 24,
  metaProgressToken = 25,
  traceparent = 26,
  resultType = 27,
  isError = 28,
  resultMeta = 29,
  structuredContent = 30,
  ttlMs = 31,
  cacheScope = 32,
  errorCode = 33,
};
}

}  // namespace switchyard
