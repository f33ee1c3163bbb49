// The list of rows. Only what can be seen of it is in the document: ten thousand rows cost what ten do.

const ITEM = 76; // the height of an item, in pixels
const BEYOND = 6; // items kept above and below what is seen
const SNIPPET = 150; // characters
const OPENING = 10_000; // characters of a row in which is looked for what others begin with too
const SHORT = 20; // an opening of fewer characters is left where it is
const SAMPLE = 100; // rows that are compared, fewer where they are long
const UNPACKED = 200_000; // tokens that these may have, by the mean of all rows

const ORDERS = {
  "in order": null,
  "longest first": (a, b) => b.count - a.count,
  "shortest first": (a, b) => a.count - b.count,
  "least trained first": (a, b) => a.share - b.share,
  "most trained first": (a, b) => b.share - a.share,
  "highest mean loss first": (a, b) => (b.loss ?? -1) - (a.loss ?? -1),
  "lowest mean loss first": (a, b) => (a.loss ?? Infinity) - (b.loss ?? Infinity),
};

class RowList {
  constructor(box, inner, all, shared, onOpen) {
    Object.assign(this, { box, inner, all, shared, rows: [], active: null, items: new Map() });
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    inner.addEventListener("click", (event) => {
      const item = event.target.closest(".item");
      if (item) onOpen(Number(item.dataset.index));
    });
  }

  /** Shows these rows, in this order. */
  set(rows) {
    this.rows = rows;
    this.inner.style.height = `${rows.length * ITEM}px`;
    this.items.clear();
    this.draw();
  }

  /** Marks a row as the open one; `reveal` scrolls to it. */
  activate(row, reveal = true) {
    this.active = row;
    const at = this.rows.indexOf(row);
    if (reveal && at >= 0) {
      const top = at * ITEM;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      const past = top + ITEM - this.box.clientHeight;
      if (past > this.box.scrollTop) this.box.scrollTop = past;
    }
    this.draw();
  }

  /** The row that stands `step` rows from the open one. */
  beside(step) {
    const at = this.rows.indexOf(this.active);
    if (at < 0) return this.rows[0];
    return this.rows[Math.min(Math.max(at + step, 0), this.rows.length - 1)];
  }

  draw() {
    const first = Math.max(Math.floor(this.box.scrollTop / ITEM) - BEYOND, 0);
    const past = Math.min(first + Math.ceil(this.box.clientHeight / ITEM) + 2 * BEYOND, this.rows.length);
    const seen = new Map();
    for (let at = first; at < past; at++) {
      const row = this.rows[at];
      const item = this.items.get(row) ?? this.item(row, at);
      item.setAttribute("aria-selected", String(row === this.active));
      seen.set(row, item);
    }
    this.items = seen;
    this.inner.replaceChildren(...seen.values());
    const open = seen.get(this.active);
    if (open) this.box.setAttribute("aria-activedescendant", open.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  item(row, at) {
    const item = element("div", "item");
    item.id = `item-${row.index}`;
    item.dataset.index = row.index;
    item.setAttribute("role", "option");
    item.setAttribute("aria-posinset", at + 1);
    item.setAttribute("aria-setsize", this.rows.length);
    item.style.top = `${at * ITEM}px`;
    const head = element("p", "item-head");
    head.append(element("b", "", format(row.row)));
    const counts = [counted(row.count, "token"), `${percent(row.share)} trained`];
    if (row.documents) counts.push(counted(row.documents.length, "document"));
    if (row.loss !== undefined) counts.push(`loss ${row.loss.toFixed(2)}`);
    head.append(element("span", "item-counts", counts.join(" \u00b7 ")));
    const strip = element("div", "strip");
    paintStrip(strip, row);
    const snippet = element("p", "snippet");
    snippet.append(
      ...marksOf(row).flatMap((mark) => [element("span", "mark", mark), " "]),
      (row.snippet ??= this.snippet(row)),
    );
    item.append(head, snippet, strip);
    return item;
  }

  snippet(row) {
    this.openings ??= sharedOpenings(this.all, this.shared);
    return snippetOf(row, this.openings, this.shared);
  }
}

/** How the row begins, after what many others begin with too. */
function snippetOf(row, openings, shared) {
  const text = headOf(row, SNIPPET + (openings[0]?.length ?? 0), shared);
  const opening = openings.find((one) => text.startsWith(one) && text.slice(one.length).trim()) ?? "";
  const own = text.slice(opening.length, opening.length + SNIPPET);
  return (opening && "\u2026 ") + own.trim().replace(/\s+/g, " ");
}

/**
 * The row's text up to a size: its content where the origin is known, else all but padding. Where
 * something is left out of it (control tokens, a template's words) stands a dot.
 */
function headOf(row, size, shared) {
  const columns = columnsOf(row, shared);
  let text = "";
  for (const wanted of [(i) => columns.speaker(i)[2] === "content", (i) => !columns.padding[i]]) {
    let gap = false;
    for (let i = 0; i < columns.size && text.length < size; i++) {
      const left = columns.control(i) || !wanted(i);
      const next = i > 0 && columns.speaker(i)[0] !== columns.speaker(i - 1)[0];
      gap ||= left || next || columns.starts[i] === 1;
      const shown = left ? "" : shownText(columns, i);
      if (gap && shown.trim()) {
        if (text.trim()) text += " \u00b7 ";
        gap = false;
      }
      text += shown;
    }
    if (text.trim()) break;
  }
  return text;
}

/** What many rows begin with, a prompt's fixed words say: the longest first. */
function sharedOpenings(rows, shared) {
  const mean = rows.reduce((sum, row) => sum + row.size, 0) / rows.length;
  const size = Math.min(Math.max(Math.floor(UNPACKED / mean), SAMPLE / 5), SAMPLE, rows.length);
  const sample = Array.from({ length: size }, (_, i) => rows[Math.floor((i * rows.length) / size)]);
  const heads = [...new Set(sample.map((row) => headOf(row, OPENING, shared)))].sort();
  const many = Math.max(Math.ceil(heads.length / 10), 2);
  const openings = new Set();
  for (let at = 0; at + many <= heads.length; at++) {
    // Sorted, all between the two begin with what these share.
    const opening = sharedBy(heads[at], heads[at + many - 1]);
    if (opening.length >= SHORT) openings.add(opening);
  }
  return [...openings].sort((a, b) => b.length - a.length);
}

/** What two texts begin with, up to the last end of a sentence, a line or a turn in it. */
function sharedBy(one, other) {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return /^.*(?:\n|[.:?!\u00b7] |[\u3002\uff1a])/s.exec(one.slice(0, at))?.[0] ?? "";
}

/** A token's text as a string in which what must not be shown is written out. */
function shownText(columns, i) {
  if (!columns.written.size) return columns.text(i);
  let at = columns.at[i];
  let shown = "";
  for (const char of columns.text(i)) {
    shown += columns.written.has(at) ? writtenOut(char) : char;
    at += char.length;
  }
  return shown;
}
