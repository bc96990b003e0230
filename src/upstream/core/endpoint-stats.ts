import type { Count } from '../../units.js';

/** Counters of one endpoint. */
export interface EndpointStats {
  calls: number;
  failures: number;
  timeouts: number;
  cancelled: number;
  restarts: number;
  junkLines: number;
  /** Messages over `limits.maxLineBytes`, or that `limits.maxBufferedBytes` left no room for. */
  skippedMessages: number;
  unknownIds: number;
  droppedLogs: number;
  /** Over `limits.maxNotificationsPerSecond`. */
  droppedNotifications: number;
  sessionsLost: number;
}

/** Counters that have counted nothing. */
export function noStats(): EndpointStats {
  return {
    calls: 0,
    failures: 0,
    timeouts: 0,
    cancelled: 0,
    restarts: 0,
    junkLines: 0,
    skippedMessages: 0,
    unknownIds: 0,
    droppedLogs: 0,
    droppedNotifications: 0,
    sessionsLost: 0,
  };
}

/** The counters of an endpoint with those of its dedicated endpoints. */
export interface EndpointTotals {
  readonly inFlight: Count;
  /** Number of dedicated endpoints. */
  readonly dedicated: Count;
  readonly stats: EndpointStats;
  /** It exceeds `limits.maxNotificationsPerSecond`. */
  readonly overLimit: boolean;
}
