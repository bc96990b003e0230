-- wrk script: POSTs prepared requests in turn and prints the figures of the run as one JSON line.
-- Argument: a file of requests. A request is the lines `Name: value` of its headers, an empty line, and its
-- body on one line.

local requests = {}
local turn = 0

function init(arguments)
  local headers, count, in_body = {}, 0, false
  for line in io.lines(arguments[1]) do
    if in_body then
      count = count + 1
      requests[count] = wrk.format("POST", nil, headers, line)
      headers, in_body = {}, false
    elseif line == "" then
      in_body = true
    else
      local name, value = string.match(line, "^(.-): (.*)$")
      headers[name] = value
    end
  end
end

function request()
  turn = turn + 1
  local prepared = requests[turn]
  if prepared == nil then
    turn = 1
    prepared = requests[1]
  end
  return prepared
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"durationUs":%d,"bytes":%d,"non2xx":%d,"socketErrors":%d,"p50Us":%d,"p99Us":%d,"p999Us":%d,"maxUs":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
