import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageCost, NotificationLimit } from '../../../../src/upstream/core/limits/notification-limit.js';

function limitOf(rate: number) {
  const limits = { maxNotificationsPerSecond: rate };
  const stats = { droppedNotifications: 0 };
  let reports = 0;
  const limit = new NotificationLimit({ current: { limits } }, stats, {
    notificationLimitExceeded: () => {
      reports += 1;
    },
  });
  return { limit, limits, stats, reports: () => reports };
}

test('a second of messages may come at once; further ones are dropped, counted and reported once', () => {
  const { limit, stats, reports } = limitOf(1_000);
  assert.equal(limit.exceeding, false);
  let taken = 0;
  for (let index = 0; index < 100_000; index += 1) if (limit.admit(MessageCost.notification)) taken += 1;
  // The loop itself takes a moment, in which the bucket gets a few tokens.
  assert.ok(taken >= 1_000 && taken < 100_000, `${taken} taken`);
  assert.equal(stats.droppedNotifications, 100_000 - taken);
  assert.equal(reports(), 1);
  assert.equal(limit.exceeding, true);
});

test('0 is no limit', () => {
  const { limit, stats, reports } = limitOf(0);
  for (let index = 0; index < 100_000; index += 1) assert.ok(limit.admit(MessageCost.request));
  assert.equal(stats.droppedNotifications, 0);
  assert.equal(reports(), 0);
  assert.equal(limit.exceeding, false);
});

test('requests and updates cost more, and one that costs more than there ever is may come all the same', () => {
  const { limit } = limitOf(100);
  assert.ok(limit.take(MessageCost.request));
  assert.equal(limit.take(MessageCost.request), false);
  const { limit: small } = limitOf(1);
  assert.equal(small.take(MessageCost.request), false, 'it has been filled a moment ago');
});

test('a reload that lifts the limit holds at once', () => {
  const { limit, limits } = limitOf(1);
  while (limit.take(MessageCost.notification));
  limits.maxNotificationsPerSecond = 0;
  assert.ok(limit.take(MessageCost.request));
  assert.equal(limit.exceeding, false);
});
