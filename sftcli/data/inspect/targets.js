// What the loss sees: each trained token as the answer to what stands before it.

const CONTEXT = 60; // characters of it that are shown
const AT_ONCE = 200; // a table of more rows than this grows when asked

function targetsTable(row, columns) {
  const box = element("div", "targets");
  const said =
    columns.answer === undefined
      ? "Each line is one prediction: the model reads all that stands before, and its loss is how unlikely it found the next token."
      : "Each line is one prediction: the model reads all of input_ids and the labels before, and its loss is how unlikely it found the next label.";
  box.append(
    element("p", "notice", row.trained ? said : "Nothing in this row is trained: the loss sees none of it."),
  );
  if (!row.trained) return box;
  const table = element("table");
  const head = table.createTHead().insertRow();
  const names = columns.answer === undefined ? ["position", "context", "next token", "id"] : ["label", "context", "next label", "id"];
  if (columns.weights) names.push("weight");
  if (columns.losses) names.push("loss");
  for (const name of names) {
    const cell = element("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const places = [];
  columns.trained.forEach((trained, i) => trained && places.push(i));
  const body = table.createTBody();
  const more = element("button", "more");
  more.type = "button";
  const grow = () => {
    const from = body.rows.length;
    body.append(...places.slice(from, from + AT_ONCE).map((i) => targetLine(columns, i)));
    const rest = places.length - body.rows.length;
    more.hidden = rest === 0;
    more.textContent = `Show ${format(Math.min(rest, AT_ONCE))} more of ${format(rest)}`;
  };
  more.addEventListener("click", grow);
  grow();
  box.append(table, more);
  return box;
}

/** The token that a group is shown on. */
function groupHead(columns, i) {
  while (i > 0 && columns.group(i) === 0) i--;
  return i;
}

function targetLine(columns, i) {
  const line = element("tr", columns.losses?.[i] != null ? `heat${levelOf(columns.losses[i])}` : "");
  const cells = ["number", "context", "target", "number"].map((name) => element("td", name));
  cells[0].textContent = format(i - (columns.answer ?? 0));
  const tail = cells[1].appendChild(element("div", "tail"));
  putContext(tail, columns, i);
  if (i === 0) tail.append(element("span", "remark", "nothing stands before it: no loss"));
  const first = groupHead(columns, i);
  const chip = element("span", `${tokenName(columns, i)} trained`);
  chip.dataset.i = i;
  putToken(chip, columns, first);
  cells[2].append(chip);
  if (columns.group(first) > 1) {
    cells[2].append(element("span", "remark", ` token ${i - first + 1} of ${columns.group(first)}`));
  }
  cells[3].textContent = columns.ids[i];
  if (columns.weights) cells.push(element("td", "number", columns.weights[i]));
  if (columns.losses) cells.push(element("td", "number", lossText(columns.losses[i])));
  line.append(...cells);
  return line;
}

/** The end of what the model reads before token i, some CONTEXT characters of it: of its own document. */
function putContext(parent, columns, i) {
  const past = groupHead(columns, i);
  let from = past;
  // What is answered goes on from what is read; padding is not read.
  const begins = (at) =>
    at === 0 || columns.padding[at - 1] || (columns.starts[at] && at !== columns.answer);
  while (!begins(from) && columns.at[past] - columns.at[from] < CONTEXT) from -= 1;
  let text = "";
  for (let at = from; at < past; at++) text += columns.text(at);
  if (!begins(from)) parent.append("\u2026");
  putShort(parent, text, { offset: columns.at[from], written: columns.written, edge: 2 });
}

const lossText = (loss) => (loss === null ? "" : Number.isNaN(loss) ? "not finite" : loss.toFixed(3));
