// What a task in JavaScript is written with: params and results as plain
// values, inputs and outputs as files, failures with a reason.

import { write } from 'cofferdam:task/log@0.1.0';
import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';

// Bytes that are asked for at once.
const CHUNK = 1 << 16;

/** Why a task did not succeed: a stable reason in CamelCase, a message, what to do next. */
export class Failure extends Error {
  constructor(reason, message, { remedy, results = {} } = {}) {
    super(message);
    Object.assign(this, { reason, remedy, results });
  }
}

/** Writes one line to the log; fields are names and values. */
export const log = Object.fromEntries(
  ['debug', 'info', 'warn', 'error'].map((level) => [
    level,
    (message, fields = {}) =>
      write(level, message, Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }))),
  ]),
);

/** A directory that the host opened for the task. */
class Tree {
  #root;

  constructor(path) {
    const opened = getDirectories();
    // The longest of those it is below: the host may open a directory above it.
    const above = opened.filter(([, at]) => path === at || path.startsWith(`${at}/`));
    const [root, at] = above.sort(([, a], [, b]) => b.length - a.length)[0];
    const below = path.slice(at.length + 1);
    this.#root = below ? root.openAt({}, below, { directory: true }, { read: true }) : root;
  }

  /** The paths of all files in it, in order. */
  files() {
    const found = [];
    const pending = [''];
    while (pending.length > 0) {
      const directory = pending.pop();
      const opened = directory ? this.#root.openAt({}, directory, { directory: true }, { read: true }) : this.#root;
      const entries = opened.readDirectory();
      for (let entry = entries.readDirectoryEntry(); entry; entry = entries.readDirectoryEntry()) {
        const path = directory ? `${directory}/${entry.name}` : entry.name;
        if (entry.type === 'directory') pending.push(path);
        if (entry.type === 'regular-file') found.push(path);
      }
    }
    return found.sort();
  }

  /** The bytes of a file. */
  bytes(path) {
    const file = this.#root.openAt({}, path, {}, { read: true });
    const chunks = [];
    let size = 0;
    for (let end = false; !end; ) {
      const [chunk, last] = file.read(CHUNK, size);
      chunks.push(chunk);
      size += chunk.length;
      end = last || chunk.length === 0;
    }
    const all = new Uint8Array(size);
    chunks.reduce((at, chunk) => (all.set(chunk, at), at + chunk.length), 0);
    return all;
  }

  /** The text of a file. */
  text(path) {
    return decode(this.bytes(path));
  }

  /** Writes a file, text or bytes, and makes the directories around it. */
  write(path, content) {
    const bytes = typeof content === 'string' ? encode(content) : content;
    const parts = path.split('/').slice(0, -1);
    parts.forEach((_, index) => {
      try {
        this.#root.createDirectoryAt(parts.slice(0, index + 1).join('/'));
      } catch (error) {
        if ((error.payload ?? error) !== 'exist') throw error;
      }
    });
    const file = this.#root.openAt({}, path, { create: true, truncate: true }, { write: true });
    for (let at = 0; at < bytes.length; ) {
      at += Number(file.write(bytes.subarray(at, at + CHUNK), at));
    }
  }
}

/** Bytes as text; what is no UTF-8 becomes U+FFFD. The engine has no TextDecoder. */
export function decode(bytes) {
  const text = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    let code = length === 1 ? first : first & (0x7f >> length);
    let good = length > 0 && first < 0xf5 && at + length <= bytes.length;
    for (let more = 1; good && more < length; more++) {
      const byte = bytes[at + more];
      good = (byte & 0xc0) === 0x80;
      code = (code << 6) | (byte & 0x3f);
    }
    const least = [0, 0, 0x80, 0x800, 0x10000][length];
    good = good && code >= least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    text.push(good ? String.fromCodePoint(code) : '\ufffd');
    at += good ? length : 1;
  }
  return text.join('');
}

/** Text as UTF-8. */
export function encode(text) {
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    const scalar = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
    if (scalar < 0x80) bytes.push(scalar);
    else if (scalar < 0x800) bytes.push(0xc0 | (scalar >> 6), 0x80 | (scalar & 0x3f));
    else if (scalar < 0x10000) bytes.push(0xe0 | (scalar >> 12), 0x80 | ((scalar >> 6) & 0x3f), 0x80 | (scalar & 0x3f));
    else {
      bytes.push(0xf0 | (scalar >> 18), 0x80 | ((scalar >> 12) & 0x3f));
      bytes.push(0x80 | ((scalar >> 6) & 0x3f), 0x80 | (scalar & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}

// What was thrown: an Error, an error of the file system as the host words it, or anything else.
function words(error) {
  if (error instanceof Error) return [`${error.name}: ${error.message}`, error.stack].filter(Boolean).join('\n').trim();
  return typeof error === 'string' ? error : JSON.stringify(error?.payload ?? error);
}

/** Makes the export `run` of a function `({ params, inputs, outputs }) => results`. */
export function task(run) {
  return (request) => {
    const trees = (mounts) => Object.fromEntries(mounts.map(({ name, path }) => [name, new Tree(path)]));
    const params = Object.fromEntries(request.params.map(({ name, value }) => [name, lift(value)]));
    try {
      const results = run({ params, inputs: trees(request.inputs), outputs: trees(request.outputs) });
      return { results: bindings(results ?? {}) };
    } catch (error) {
      const known = error instanceof Failure;
      throw {
        reason: known ? error.reason : 'Exception',
        message: known ? error.message : words(error),
        remedy: known ? error.remedy : undefined,
        results: bindings(known ? error.results : {}),
      };
    }
  };
}

function lift({ tag, val }) {
  return tag === 'fields' ? Object.fromEntries(val) : val;
}

function bindings(results) {
  return Object.entries(results).map(([name, value]) => ({ name, value: lower(value) }));
}

function lower(value) {
  if (Array.isArray(value)) return { tag: 'texts', val: value.map(String) };
  if (value !== null && typeof value === 'object') {
    return { tag: 'fields', val: Object.entries(value).map(([key, text]) => [key, String(text)]) };
  }
  return { tag: 'text', val: String(value) };
}
