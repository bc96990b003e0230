import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteFirst } from '../../src/shared/delete-first.js';
import { Rotation } from '../../src/shared/rotation.js';

test('a rotation reaches every entry in turns, with entries that come and go', () => {
  const entries = new Set([1, 2, 3]);
  const rotation = new Rotation(() => entries.values());
  const visited: number[] = [];
  const visit = (entry: number): void => void visited.push(entry);
  rotation.visitSome(2, visit);
  assert.deepEqual(visited.splice(0), [1, 2]);
  entries.add(4);
  entries.delete(3);
  rotation.visitSome(2, visit);
  assert.deepEqual(visited.splice(0), [4], 'a pass ends with the last entry');
  rotation.visitSome(3, visit);
  assert.deepEqual(visited.splice(0), [1, 2, 4]);
});

test('deleteFirst deletes the oldest entry, if there is one', () => {
  const map = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  deleteFirst(map);
  assert.deepEqual([...map.keys()], ['b']);
  deleteFirst(map);
  deleteFirst(map);
  assert.equal(map.size, 0);
});
