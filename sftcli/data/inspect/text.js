// Text as it may be shown: what nobody could see, and what would turn the text around, is written
// out. Which characters those are was decided when the page was made.

const SPECIAL = /[^\x20-\x7e]/;
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function writtenOut(char) {
  if (NAMED[char]) return NAMED[char];
  const code = char.codePointAt(0);
  const digits = code.toString(16);
  if (code < 0x80) return `\\x${digits.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}

/**
 * Puts text into an element. `offset`: where it begins in a longer text, in which `written` tells
 * the places of what is written out. `edge`: 1 where a run begins here, 2 where it ends, 3 both;
 * spaces there get a sign. `places` collects where each part of the text was put, for a search.
 */
function putText(parent, text, { offset = 0, written, edge = 0, places = [] }) {
  const from = edge & 1 ? /^ */.exec(text)[0].length : 0;
  const to = edge & 2 ? text.length - / *$/.exec(text)[0].length : text.length;
  const add = (inside, shown, at, literal) => {
    const node = document.createTextNode(shown);
    inside.append(node);
    places.push({ offset: offset + at, node, literal });
  };
  if (text && from === 0 && to === text.length && !SPECIAL.test(text)) return add(parent, text, 0, true);
  let literal = "";
  let at = 0;
  const flush = () => {
    if (literal) add(parent, literal, at - literal.length, true);
    literal = "";
  };
  for (const char of text) {
    const name = nameOf(char, written.has(offset + at), at < from || at >= to);
    if (name) {
      flush();
      const span = element("span", name);
      add(span, name === "written" ? writtenOut(char) : char, at, false);
      parent.append(span);
    } else literal += char;
    at += char.length;
  }
  return flush();
}

/** The class of a character that does not simply stand for itself. */
function nameOf(char, written, edge) {
  if (char === "\n") return "newline";
  if (char === "\t") return "tab";
  if (written) return "written";
  return char === " " && edge ? "space" : "";
}

/** A short text on one line: line breaks and tabs are their signs alone. */
function putShort(parent, text, options) {
  const made = element("bdi");
  putText(made, text, options);
  for (const sign of made.querySelectorAll(".newline, .tab")) sign.textContent = "";
  parent.append(made);
}

/** One token by itself. */
const putToken = (parent, columns, i) =>
  putShort(parent, columns.text(i), { written: columns.alone(i), edge: 3 });

/** Where a text occurs, or a `/pattern/`. `exact`: A is not a. Throws SyntaxError for a pattern that is none. */
function patternOf(query, exact) {
  const pattern = /^\/(.+)\/$/s.exec(query);
  const letters = exact ? "g" : "gi";
  if (pattern) return new RegExp(pattern[1], `${letters}mu`);
  return new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), letters);
}

/** [start, end] of every match that is not empty. */
function matchesOf(pattern, text) {
  const found = [];
  for (const match of text.matchAll(pattern)) {
    if (match[0]) found.push([match.index, match.index + match[0].length]);
  }
  return found;
}
