"use strict";
// What view/html.py packed, unpacked where it is needed.

const byId = (id) => document.getElementById(id);

/** An element with its text. Data reaches the page as text alone. */
function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== "") made.textContent = text;
  return made;
}

const whole = new Intl.NumberFormat("en-US");
const format = (number) => whole.format(number);
const counted = (number, thing) => `${format(number)} ${thing}${number === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(1)}%`;

const VALUES = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].forEach((digit, value) => {
  VALUES[digit.charCodeAt(0)] = value;
});

/** Five bits to a digit, from the lowest up; 32 says that more digits follow. */
function numbers(packed = "") {
  const found = [];
  for (let at = 0, number = 0, shift = 0; at < packed.length; at++) {
    const digit = VALUES[packed.charCodeAt(at)];
    number |= (digit & 31) << shift;
    shift += 5;
    if (digit < 32) {
      found.push(number);
      number = shift = 0;
    }
  }
  return found;
}

function readShared() {
  const table = JSON.parse(byId("shared").textContent);
  const groups = new Uint32Array(table.texts.length).fill(1);
  for (const [entry, size] of table.groups) groups[entry] = size;
  const control = new Uint8Array(table.texts.length);
  for (const entry of table.control) control[entry] = 1;
  return {
    ...table,
    ids: numbers(table.ids),
    groups,
    control,
    written: new Map(table.written),
    meanings: new Map(table.meanings),
  };
}

/** Rows with what the list needs to know of each. */
function readRows(shared) {
  const rows = [];
  for (const block of document.querySelectorAll("script.rows")) {
    for (const row of JSON.parse(block.textContent)) {
      row.index = rows.length;
      row.runs = numbers(row.mask);
      row.size = row.runs.reduce((sum, length) => sum + length, 0);
      row.trained = row.runs.reduce((sum, length, run) => sum + (run % 2 ? length : 0), 0);
      row.padded = numbers(row.padding).reduce((sum, length, run) => sum + (run % 2 ? length : 0), 0);
      row.count = row.size - row.padded;
      row.share = row.count ? row.trained / row.count : 0;
      row.marks ??= [];
      row.turns = countTurns(numbers(row.speakers), shared);
      rows.push(row);
    }
    block.remove();
  }
  return rows;
}

/** How many turns are known, null where their origin is not. */
function countTurns(speakers, shared) {
  const turns = new Set();
  let known = false;
  for (let at = 0; at < speakers.length; at += 2) {
    const [turn, , origin] = shared.speakers[speakers[at]];
    if (turn !== null) turns.add(turn);
    known ||= origin !== null;
  }
  return known ? turns.size : null;
}

/** Numbers that each stand for a stretch, and its length, as a value for each place. */
function stretched(packed, value) {
  const found = [];
  const pairs = numbers(packed);
  for (let at = 0; at < pairs.length; at += 2) {
    const shared = value(pairs[at]);
    for (let i = 0; i < pairs[at + 1]; i++) found.push(shared);
  }
  return found;
}

function switches(packed, size) {
  const flags = new Uint8Array(size);
  let at = 0;
  numbers(packed).forEach((length, run) => {
    flags.fill(run % 2, at, at + length);
    at += length;
  });
  return flags;
}

/** Where in the row's text characters are written out. */
function writtenIn(row) {
  let place = 0;
  return new Set(numbers(row.written).map((distance) => (place += distance)));
}

/** A row's tokens, column by column. */
function columnsOf(row, shared) {
  const entries = numbers(row.tokens);
  const ids = entries.map((entry) => shared.ids[entry]);
  const trained = switches(row.mask, row.size);
  const labels = ids.map((id, i) => (trained[i] ? id : -100));
  for (const [i, label] of row.labels ?? []) labels[i] = label;
  const speakers = new Uint32Array(row.size);
  const stretches = numbers(row.speakers);
  for (let at = 0, stretch = 0; stretch < stretches.length; stretch += 2) {
    speakers.fill(stretches[stretch], at, at + stretches[stretch + 1]);
    at += stretches[stretch + 1];
  }
  const weights = row.weights ? stretched(row.weights, (number) => shared.weights[number]) : null;
  const at = new Uint32Array(row.size + 1);
  entries.forEach((entry, i) => (at[i + 1] = at[i] + shared.texts[entry].length));
  const starts = new Uint8Array(row.size + 1);
  const documents = row.documents ?? [];
  let start = row.first ?? 0; // padding may stand before them
  for (const length of [...documents, 0]) {
    if (documents.length) starts[start] = 1;
    start += length;
  }
  if (row.answer !== undefined) starts[0] = starts[row.answer] = 1;
  return {
    size: row.size,
    answer: row.answer,
    entries,
    ids,
    labels,
    trained,
    speakers,
    starts,
    documents,
    about: row.about ?? [],
    weights, // each token's, as a text
    at, // where each token's text begins in the row's text
    written: writtenIn(row),
    alone: (i) => new Set(shared.written.get(entries[i])), // what is written out where the token stands alone
    padding: switches(row.padding, row.size),
    losses: row.losses ? numbers(row.losses).map(lossOf) : null,
    text: (i) => shared.texts[entries[i]],
    group: (i) => shared.groups[entries[i]],
    control: (i) => shared.control[entries[i]] === 1,
    speaker: (i) => shared.speakers[speakers[i]],
  };
}

const lossOf = (packed) => (packed === 0 ? null : packed === 1 ? NaN : (packed - 2) / 1000);

/** The row's whole text, kept once it was asked for: search reads it again at every key. */
function textOf(row, shared) {
  row.text ??= numbers(row.tokens)
    .map((entry) => shared.texts[entry])
    .join("");
  return row.text;
}
