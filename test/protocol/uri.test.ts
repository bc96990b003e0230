import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPlainUri } from '../../native/plain-uri.js';
import { normalPattern, normalUri, type UriFault } from '../../src/protocol/uri.js';

const plain = (text: string): boolean => isPlainUri(Buffer.from(text), 0, Buffer.byteLength(text));

test('URIs in normal form are recognised by the scan and stay as they are', () => {
  for (const uri of [
    'file:///home/ann/a.txt',
    'file:///',
    'file:///C:/Users/ann/My%20Docs/a.txt',
    'demo://resource/static/document/architecture.md',
    'secret://plan',
    'secret://plan/',
    'memo://insights?day=1#top',
    'note:///a/b/c.txt',
    'note://',
    'https://example.com/a/b?c=d&e=%2B#f',
    "note:///it's",
    'git+ssh://host.name_x~y/a:b@c',
    'note://h/...',
    'note://h/.hidden',
    'note://h/a?x=../b',
  ]) {
    assert.ok(plain(uri), uri);
    assert.deepEqual(normalUri(uri), { text: uri, judged: uri }, uri);
  }
});

test('other spellings come to the normal form', () => {
  for (const [spelling, text, judged = text] of [
    ['SECRET://plan', 'secret://plan'],
    ['FILE:///secret/x', 'file:///secret/x'],
    ['file://localhost/secret/x', 'file:///secret/x'],
    ['FiLe://LOCALHOST/secret/x', 'file:///secret/x'],
    ['secret://%70lan', 'secret://plan'],
    ['file:///secret/%78', 'file:///secret/x'],
    ['file:///a%3f%c3%bc', 'file:///a%3F%C3%BC'],
    ['file:///My Docs/ü "x"<y>`{z}|^[1]', 'file:///My%20Docs/%C3%BC%20%22x%22%3Cy%3E%60%7Bz%7D%7C%5E%5B1%5D'],
    ['HTTP://Example.COM:80/A', 'http://example.com/A'],
    ['https://example.com', 'https://example.com/'],
    ['https://example.com:8443', 'https://example.com:8443/'],
    ["https://example.com/?a='b'", 'https://example.com/?a=%27b%27'],
    ['http://[::1]:8080/x', 'http://[::1]:8080/x'],
    ['http://127.0.0.1/x', 'http://127.0.0.1/x'],
    ['greeting://World', 'greeting://World', 'greeting://world'],
    ['greeting://John%20d%C3%BC', 'greeting://John%20d%C3%BC', 'greeting://john%20d%C3%BC'],
    ['repo://owner%2fname', 'repo://owner%2Fname'],
    ['urn:isbn:0451450523', 'urn:isbn:0451450523'],
    ['note:/a/b', 'note:/a/b'],
    ['note://host:/a', 'note://host/a'],
  ] as const) {
    assert.ok(!plain(spelling) || spelling === text, spelling);
    assert.deepEqual(normalUri(spelling), { text, judged }, spelling);
  }
});

test('URIs that two parsers read differently, or that hide where they lead, have none', () => {
  const rows: Record<UriFault, readonly string[]> = {
    scheme: ['', 'plan', '/secret/x', '//host/x', '1a://x', ':x', '%66ile:///x'],
    control: [
      'sec\tret://plan',
      'secret://plan\n',
      '\0secret://plan',
      'secret://a\u0085b',
      'secret://a%00',
      'secret://a%C2%85b',
      'file:///a%0Ab',
    ],
    space: [' secret://plan', 'secret://plan ', '\u00a0secret://plan', 'secret://plan\u3000', '\ufeffsecret://plan'],
    backslash: ['file:\\\\\\secret\\x', 'file:///secret\\x', 'http:\\\\h/x', 'note://a?\\'],
    slashes: ['file:/secret/x', 'file:secret/x', 'http:example.com', 'https:/example.com/x'],
    user: ['http://user@host/x', 'secret://ann:pw@plan', 'file://a@/x', 'https://@host/'],
    dots: [
      'file:///a/../secret/x',
      'file:///./secret/x',
      'file:///%2e/secret/x',
      'file:///a/%2E%2e/secret/x',
      'file:///a/.%2e/secret/x',
      'file:///a/..',
      'file:///a%2F..%2Fsecret/x',
      'file:///a%5C..%5Csecret/x',
      'file:///a/..;x/secret',
      'secret://../plan',
      'secret://a/../plan',
      'note:a/../b',
    ],
    empty: ['file:////secret/x', 'file:///secret//x', 'file:///%2Fsecret/x', 'file:///a%2F/x'],
    percent: ['note://a/%', 'note://a/%4', 'note://a/%zz', 'note://a/%C0%AE%C0%AE', 'note://a/%FF'],
    ambiguous: [
      'http:///host/x',
      'http://0x7f.1/',
      'http://2130706433/',
      'http://h:99999/',
      'http://bücher/',
      'http://h%41/',
    ],
  };
  for (const [fault, uris] of Object.entries(rows)) {
    for (const uri of uris) {
      assert.ok(!plain(uri), uri);
      assert.equal(normalUri(uri), fault, JSON.stringify(uri));
    }
  }
});

test('patterns come to the form of what they match', () => {
  for (const [kind, pattern, text] of [
    ['glob', 'SECRET://**', 'secret://**'],
    ['glob', 'File:///My Docs/**', 'file:///My%20Docs/**'],
    ['glob', 'file://localhost/secret/*', 'file:///secret/*'],
    ['glob', 'Config://APP/Settings', 'config://app/Settings'],
    ['glob', 'config://A*B/X', 'config://a*b/X'],
    ['glob', 'note:///a\\*b?c', 'note:///a\\*b?c'],
    ['glob', 'note:///%7euser/%c3%bc', 'note:///~user/%C3%BC'],
    ['glob', '**', '**'],
    ['glob', '*://Secret/x', '*://secret/x'],
    ['template', 'Greeting://{Name}', 'greeting://{Name}'],
    ['template', 'repo://{owner}/{+path}?q={q}', 'repo://{owner}/{+path}?q={q}'],
    ['template', 'CONFIG://App/{Key}', 'config://app/{Key}'],
  ] as const) {
    assert.deepEqual(normalPattern(pattern, kind), { text }, pattern);
  }
});

test('patterns that no URI in normal form can match are recognised', () => {
  for (const [pattern, fault] of [
    ['file:/secret/**', 'slashes'],
    ['file:secret/**', 'slashes'],
    ['file:///a/../secret/**', 'dots'],
    ['postgres://user@host/**', 'user'],
    ['secret://a\tb', 'control'],
  ] as const) {
    assert.equal(normalPattern(pattern, 'glob'), fault, pattern);
  }
});
