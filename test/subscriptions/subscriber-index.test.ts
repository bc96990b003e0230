import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Subscriber, SubscriberIndex } from '../../src/subscriptions/subscriber-index.js';

function subscriber(sessionId: string, subject = 0): Subscriber & { readonly name: string } {
  return {
    name: sessionId,
    client: { sessionId, subject: Int32Array.of(subject, 0, 0, 0), capabilities: 0, token: '' },
  };
}

const names = (found: Iterable<{ readonly name: string }>): string[] => [...found].map(({ name }) => name);

test('an update reaches the subscribers of the resource and of its parents, each once', () => {
  const index = new SubscriberIndex<ReturnType<typeof subscriber>>();
  const [exact, parent, folder, sibling, other] = ['exact', 'parent', 'folder', 'sibling', 'other'].map((name) =>
    subscriber(name),
  ) as [ReturnType<typeof subscriber>, ...ReturnType<typeof subscriber>[]];
  index.add(0, 'resource', 'file:///a/b/c', exact);
  index.add(0, 'resource', 'file:///a/b', exact);
  index.add(0, 'resource', 'file:///a', parent!);
  index.add(0, 'resource', 'file:///a/b/', folder!);
  index.add(0, 'resource', 'file:///a/bb', sibling!);
  index.add(0, 'task', 'file:///a/b/c', sibling!);
  index.add(1, 'resource', 'file:///a/b/c', other!);
  assert.deepEqual(names(index.ofResource(0, 'file:///a/b/c', null)), ['exact', 'folder', 'parent']);
  assert.deepEqual(names(index.ofResource(0, 'file:///a/b', null)), ['exact', 'parent']);
  assert.deepEqual(names(index.ofResource(0, 'file:///a/bb/x', null)), ['sibling', 'parent']);
  assert.deepEqual(names(index.ofResource(0, 'file:///b', null)), []);
  assert.deepEqual(names(index.ofResource(1, 'file:///a/b/c', null)), ['other']);
  assert.deepEqual(names(index.ofResource(0, '/'.repeat(100_000), null)), []);
});

test('an update on a dedicated connection is for its owner', () => {
  const index = new SubscriberIndex<ReturnType<typeof subscriber>>();
  for (const each of [subscriber('one', 1), subscriber('two', 1), subscriber('', 2)])
    index.add(0, 'resource', 'u', each);
  const of = (sessionId: string, subject: number) =>
    names(index.ofResource(0, 'u', { sessionId, subject: Int32Array.of(subject, 0, 0, 0) }));
  assert.deepEqual(of('one', 1), ['one']);
  assert.deepEqual(of('', 1), ['one', 'two']);
  assert.deepEqual(of('', 2), ['']);
  assert.deepEqual(of('three', 1), []);
});

test('entries without subscribers are removed', () => {
  const index = new SubscriberIndex<ReturnType<typeof subscriber>>();
  const [one, two] = [subscriber('one'), subscriber('two')];
  index.add(0, 'resource', 'u', one);
  index.add(0, 'resource', 'u', two);
  index.add(1, 'task', 't', two);
  assert.deepEqual(
    index.ofServer(0).map(({ kind, id, subscriber: { name } }) => [kind, id, name]),
    [
      ['resource', 'u', 'one'],
      ['resource', 'u', 'two'],
    ],
  );
  assert.equal(index.remove(0, 'resource', 'u', one), true);
  assert.equal(index.remove(0, 'resource', 'u', one), false);
  assert.equal(index.remove(0, 'resource', 'v', two), false);
  assert.equal(index.remove(0, 'resource', 'u', two), true);
  assert.equal(index.remove(1, 'task', 't', two), true);
  assert.equal(index.size, 0);
});
