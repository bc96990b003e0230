import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Subscriber, SubscriberIndex } from '../../src/subscriptions/subscriber-index.js';

function follower(sessionId: string, subject = 0): Subscriber & { readonly name: string } {
  return { name: sessionId, client: { sessionId, subject: Int32Array.of(subject, 0, 0, 0), capabilities: 0 } };
}

const names = (found: Iterable<{ readonly name: string }>): string[] => [...found].map(({ name }) => name);

test('an update reaches those who follow the resource or what it is part of, each once', () => {
  const follows = new SubscriberIndex<ReturnType<typeof follower>>();
  const [exact, parent, folder, sibling, other] = ['exact', 'parent', 'folder', 'sibling', 'other'].map((name) =>
    follower(name),
  ) as [ReturnType<typeof follower>, ...ReturnType<typeof follower>[]];
  follows.add(0, 'resource', 'file:///a/b/c', exact);
  follows.add(0, 'resource', 'file:///a/b', exact);
  follows.add(0, 'resource', 'file:///a', parent!);
  follows.add(0, 'resource', 'file:///a/b/', folder!);
  follows.add(0, 'resource', 'file:///a/bb', sibling!);
  follows.add(0, 'task', 'file:///a/b/c', sibling!);
  follows.add(1, 'resource', 'file:///a/b/c', other!);
  assert.deepEqual(names(follows.ofResource(0, 'file:///a/b/c', null)), ['exact', 'folder', 'parent']);
  assert.deepEqual(names(follows.ofResource(0, 'file:///a/b', null)), ['exact', 'parent']);
  assert.deepEqual(names(follows.ofResource(0, 'file:///a/bb/x', null)), ['sibling', 'parent']);
  assert.deepEqual(names(follows.ofResource(0, 'file:///b', null)), []);
  assert.deepEqual(names(follows.ofResource(1, 'file:///a/b/c', null)), ['other']);
  assert.deepEqual(names(follows.ofResource(0, '/'.repeat(100_000), null)), []);
});

test('what comes on a lane is for its owner', () => {
  const follows = new SubscriberIndex<ReturnType<typeof follower>>();
  for (const each of [follower('one', 1), follower('two', 1), follower('', 2)]) follows.add(0, 'resource', 'u', each);
  const of = (sessionId: string, subject: number) =>
    names(follows.ofResource(0, 'u', { sessionId, subject: Int32Array.of(subject, 0, 0, 0) }));
  assert.deepEqual(of('one', 1), ['one']);
  assert.deepEqual(of('', 1), ['one', 'two']);
  assert.deepEqual(of('', 2), ['']);
  assert.deepEqual(of('three', 1), []);
});

test('nothing is left of what nobody follows', () => {
  const follows = new SubscriberIndex<ReturnType<typeof follower>>();
  const [one, two] = [follower('one'), follower('two')];
  follows.add(0, 'resource', 'u', one);
  follows.add(0, 'resource', 'u', two);
  follows.add(1, 'task', 't', two);
  assert.deepEqual(
    follows.ofServer(0).map(({ kind, id, subscriber: { name } }) => [kind, id, name]),
    [
      ['resource', 'u', 'one'],
      ['resource', 'u', 'two'],
    ],
  );
  assert.equal(follows.remove(0, 'resource', 'u', one), true);
  assert.equal(follows.remove(0, 'resource', 'u', one), false);
  assert.equal(follows.remove(0, 'resource', 'v', two), false);
  assert.equal(follows.remove(0, 'resource', 'u', two), true);
  assert.equal(follows.remove(1, 'task', 't', two), true);
  assert.equal(follows.size, 0);
});
