// The list of rows. Only what can be seen of it is in the document: ten thousand rows cost what ten do.

const ITEM = 76; // the height of an item, in pixels
const BEYOND = 6; // items kept above and below what is seen
const SNIPPET = 150;

const ORDERS = {
  "in order": null,
  "longest first": (a, b) => b.count - a.count,
  "shortest first": (a, b) => a.count - b.count,
  "least trained first": (a, b) => a.share - b.share,
  "most trained first": (a, b) => b.share - a.share,
  "highest loss first": (a, b) => (b.loss ?? -1) - (a.loss ?? -1),
};

class RowList {
  constructor(box, inner, shared, onOpen) {
    Object.assign(this, { box, inner, shared, rows: [], active: null, items: new Map() });
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
    const counts = element(
      "span",
      "item-counts",
      `${counted(row.count, "token")} \u00b7 ${percent(row.share)} trained`,
    );
    head.append(counts);
    const strip = element("div", "strip");
    paintStrip(strip, row);
    const snippet = element("p", "snippet");
    snippet.append(
      ...marksOf(row).flatMap((mark) => [element("span", "mark", mark), " "]),
      (row.snippet ??= snippetOf(row, this.shared)),
    );
    item.append(head, snippet, strip);
    return item;
  }
}

/** How the row begins: its first content where the origin is known, else its first plain text. */
function snippetOf(row, shared) {
  const columns = columnsOf(row, shared);
  let text = "";
  for (const wanted of [(i) => columns.speaker(i)[2] === "content", (i) => !columns.padding[i]]) {
    let turn = null;
    for (let i = 0; i < columns.size && text.length < SNIPPET; i++) {
      if (!wanted(i) || columns.control(i)) continue;
      if (text && columns.speaker(i)[0] !== turn) text += " \u00b7 ";
      turn = columns.speaker(i)[0];
      text += shownText(columns, i);
    }
    if (text.trim()) break;
  }
  return text.trim().replace(/\s+/g, " ");
}

/** A token's text as a string in which what must not be shown is written out. */
function shownText(columns, i) {
  let at = columns.at[i];
  let shown = "";
  for (const char of columns.text(i)) {
    shown += columns.written.has(at) ? writtenOut(char) : char;
    at += char.length;
  }
  return shown;
}
