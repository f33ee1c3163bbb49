// The facts of one token, beside it: on hover, on focus, and pinned by a click.

class Card {
  constructor(box) {
    this.box = box;
    this.pinned = null;
    this.anchor = null;
  }

  show(anchor, columns, pin = false) {
    if (this.pinned && !pin) return;
    this.close();
    this.anchor = anchor;
    this.pinned = pin ? anchor : null;
    anchor.classList.add("shown");
    anchor.setAttribute("aria-describedby", this.box.id);
    this.box.replaceChildren(...cardContent(columns, Number(anchor.dataset.i)));
    this.box.hidden = false;
    this.place(anchor);
  }

  close() {
    this.anchor?.classList.remove("shown");
    this.anchor?.removeAttribute("aria-describedby");
    this.anchor = this.pinned = null;
    this.box.hidden = true;
  }

  /** After the page has changed: the token may have gone, or moved. */
  follow() {
    if (this.anchor?.getClientRects().length) this.place(this.anchor);
    else this.close();
  }

  /** Below the token's first line, above it where there is no room. */
  place(anchor) {
    const at = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const below = at.bottom + 6;
    const top = below + height > innerHeight - 8 ? at.top - height - 6 : below;
    this.box.style.top = `${Math.max(top, 8)}px`;
    this.box.style.left = `${Math.max(Math.min(at.left - 8, innerWidth - width - 8), 8)}px`;
  }
}

function cardContent(columns, i) {
  const first = groupHead(columns, i);
  const size = Math.max(columns.group(first), 1);
  const piece = element("p", columns.trained[i] ? "piece trained" : "piece");
  putToken(piece, columns, first);
  const content = [piece];
  if (size > 1) content.push(element("p", "remark", `one text over ${size} tokens`));
  content.push(size > 1 ? groupFacts(columns, first, size) : factList(tokenFacts(columns, i)));
  content.push(nextFact(columns, first + size));
  return content;
}

function factList(facts) {
  const list = element("dl");
  for (const [name, value] of facts) {
    const line = element("div");
    line.append(element("dt", "", name), element("dd", "", value));
    list.append(line);
  }
  return list;
}

function tokenFacts(columns, i) {
  const facts = [
    ["i", format(i)],
    ["id", String(columns.ids[i])],
    ["label", labelText(columns, i)],
  ];
  return [...facts, ...weightFacts(columns, i), ...sharedFacts(columns, i), ...lossFacts(columns, i)];
}

function labelText(columns, i) {
  const label = String(columns.labels[i]);
  if (columns.padding[i]) return `${label} (padding)`;
  const plain = columns.labels[i] === (columns.trained[i] ? columns.ids[i] : -100);
  return `${label} (${columns.trained[i] ? "trained" : "masked"}${plain ? "" : ", but not the usual label"})`;
}

function sharedFacts(columns, i) {
  const [turn, role, origin] = columns.speaker(i);
  const known = [
    ["origin", origin],
    ["turn", turn],
    ["role", role],
  ].filter(([, value]) => value !== null);
  const facts = known.map(([name, value]) => [name, String(value)]);
  return columns.control(i) ? [...facts, ["kind", "control token"]] : facts;
}

const weightFacts = (columns, i) => (columns.weights?.[i] ? [["weight", columns.weights[i]]] : []);

function lossFacts(columns, i) {
  const loss = columns.losses?.[i] ?? null;
  if (loss === null) return [];
  const chance = Number.isNaN(loss) ? "" : ` (probability ${(100 * Math.exp(-loss)).toPrecision(2)}%)`;
  return [["loss", lossText(loss) + chance]];
}

/** A character over several tokens: what each of them is, then what they share. */
function groupFacts(columns, first, size) {
  const box = element("div");
  const table = element("table");
  const head = table.createTHead().insertRow();
  const names = ["i", "id", "label", ...(columns.weights ? ["weight"] : []), ...(columns.losses ? ["loss"] : [])];
  head.append(...names.map((name) => element("th", "", name)));
  const body = table.createTBody();
  for (let i = first; i < first + size && i < columns.size; i++) {
    const values = [format(i), columns.ids[i], labelText(columns, i)];
    if (columns.weights) values.push(columns.weights[i]);
    if (columns.losses) values.push(lossText(columns.losses[i]));
    body.insertRow().append(...values.map((value) => element("td", "", String(value))));
  }
  box.append(table, factList(sharedFacts(columns, first)));
  return box;
}

/** What is asked for at this place. */
function nextFact(columns, next) {
  const line = element("p", "next");
  if (next >= columns.size) {
    line.textContent = "the row ends here";
    return line;
  }
  line.append("next ");
  const text = element("span", columns.trained[next] ? "piece trained" : "piece");
  putToken(text, columns, groupHead(columns, next));
  line.append(
    text,
    columns.trained[next] ? " trained" : columns.padding[next] ? " padding" : " masked: no loss here",
  );
  return line;
}
