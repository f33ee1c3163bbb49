// A row as it reads: turn by turn, with what is trained marked.

/** The pieces that a row is shown in: [first, past the last], cut where `same` says so. */
function stretches(from, to, same) {
  const found = [];
  for (let first = from; first < to;) {
    let last = first + 1;
    while (last < to && same(first, last)) last++;
    found.push([first, last]);
    first = last;
  }
  return found;
}

/** Whether any token of the group that begins at i is trained. Others than the first have no text. */
function groupTrained(columns, i) {
  return columns.trained.subarray(i, i + Math.max(columns.group(i), 1)).includes(1);
}

function rowHead(row, shared, level = "h2") {
  const head = element("header", "row-head");
  const title = element(level, "", `Row ${format(row.row)}`);
  title.id = level === "h2" ? "row-title" : "";
  head.append(title);
  const place = element("p", "place");
  if (row.file !== undefined)
    place.append(element("bdi", "", placeText(row.file, row.line)));
  if (row.split !== undefined) place.append(element("bdi", "", row.split));
  if (row.id !== undefined) place.append(element("bdi", "", `id ${row.id}`));
  head.append(place, rowCounts(row));
  if (row.fields) head.append(fieldList(row.fields));
  if (row.dropped) head.append(element("p", "warning", `prepare leaves this row out: ${row.dropped}`));
  for (const mark of row.marks) {
    const meaning = shared.meanings.get(mark);
    head.append(element("p", "warning", meaning ? `${mark}: ${meaning}` : mark));
  }
  return head;
}

/** What goes along with a row, or with one of its documents. */
function fieldList(fields) {
  const list = element("dl", "fields");
  for (const [name, value] of fields) {
    const field = element("div");
    field.append(element("dt", "", name), element("dd", "", value));
    list.append(field);
  }
  return list;
}

/** The counts are the legend too: each is drawn as what it counts. */
function rowCounts(row) {
  const counts = element("p", "counts");
  counts.append(element("span", "", counted(row.count, "token")));
  counts.append(
    element("span", "run trained", `${format(row.trained)} trained`),
    element("span", "", percent(row.share)),
  );
  counts.append(element("span", "run masked", `${format(row.count - row.trained)} masked`));
  if (row.turns !== null) counts.append(element("span", "", counted(row.turns, "turn")));
  if (row.documents) counts.append(element("span", "", counted(row.documents.length, "document")));
  if (row.padded) counts.append(element("span", "", `${format(row.padded)} padding`));
  if (row.weighed) counts.append(element("span", "", row.weighed));
  if (row.loss !== undefined) counts.append(element("span", "", `mean loss ${row.loss.toFixed(3)}`));
  return counts;
}

/**
 * The row's mask as a strip: where it is trained, along its length. Padding is pale, and a line stands
 * between documents, and between what is read and what is answered.
 */
function paintStrip(strip, row) {
  if (!row.size) return;
  const share = (at) => `${((100 * at) / row.size).toFixed(2)}%`;
  const layers = [];
  const gaps = gapsOf(row);
  if (gaps.length) {
    const stops = gaps.map((at) => {
      const [from, to] = [`calc(${share(at)} - 1px)`, `calc(${share(at)} + 1px)`];
      return `transparent ${from}, var(--strip-gap) ${from}, var(--strip-gap) ${to}, transparent ${to}`;
    });
    layers.push(`linear-gradient(to right, ${stops.join(", ")})`);
  }
  if (row.padded) layers.push(bands(numbers(row.padding), share, ["transparent", "var(--strip-padding)"]));
  layers.push(bands(row.runs, share, ["var(--strip-masked)", "var(--strip-trained)"]));
  strip.style.background = layers.join(", ");
}

/** Lengths of stretches that are off and on in turn, as a gradient of two colours. */
function bands(lengths, share, colors) {
  const stops = [];
  let at = 0;
  lengths.forEach((length, run) => {
    stops.push(`${colors[run % 2]} ${share(at)}`);
    at += length;
    stops.push(`${colors[run % 2]} ${share(at)}`);
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** Where one part of a row ends and the next begins. */
function gapsOf(row) {
  if (row.answer !== undefined) return row.answer > 0 && row.answer < row.size ? [row.answer] : [];
  let at = row.first ?? 0;
  return (row.documents ?? []).slice(0, -1).map((length) => (at += length));
}

/** `tokens`: whether each token gets an element of its own; print does without. */
function rowBody(columns, tokens = true) {
  const body = element("div", "body");
  const places = [];
  let document_ = 0;
  let before = null;
  const same = (a, b) =>
    !columns.starts[b] &&
    columns.padding[a] === columns.padding[b] &&
    sameSpeaker(columns.speaker(a), columns.speaker(b));
  for (const [from, to] of stretches(0, columns.size, same)) {
    if (columns.starts[from]) {
      body.append(documentHead(columns, document_++));
      before = null;
    }
    const turn = element("section", "turn");
    const [number, role] = columns.speaker(from);
    const text = element("div", "text");
    const again = before && number === null && before === role;
    turn.append(turnLabel(number, again ? "" : role), text);
    putRuns(text, columns, from, to, { tokens, places });
    turn.classList.toggle("learns", columns.trained.subarray(from, to).includes(1));
    body.append(turn);
    before = role;
  }
  body.classList.toggle("nameless", !body.querySelector(".speaker:not(:empty)"));
  if (!columns.size) body.append(element("p", "notice", "This row has no tokens."));
  return { body, places };
}

/** What begins here: its name, its size, where it is from, and what goes along with it. */
function documentHead(columns, index) {
  const { documents, answer, size } = columns;
  const head = element("header", "document");
  const add = (name, ...facts) =>
    head.append(element("h3", "", name), ...facts.map((fact) => element("bdi", "", fact)));
  if (answer !== undefined) {
    if (index) add("labels", counted(size - answer, "token"));
    else add("input_ids", counted(answer, "token"));
  } else if (index >= documents.length) add("after the documents");
  else {
    const [file, line, fields] = columns.about[index] ?? [null, null, []];
    const place = file === null ? [] : [placeText(file, line)];
    add(
      `document ${format(index + 1)} of ${format(documents.length)}`,
      counted(documents[index], "token"),
      ...place,
    );
    if (fields.length) head.append(fieldList(fields));
  }
  return head;
}

const placeText = (file, line) => shared.files[file] + ((line ?? null) === null ? "" : `:${line}`);

const sameSpeaker = (one, other) => one[0] === other[0] && one[1] === other[1];

function turnLabel(number, role) {
  const label = element("h3", "speaker");
  if (role) label.append(element("bdi", "role", role), " ");
  if (number !== null) label.append(element("span", "turn-number", String(number)));
  return label;
}

/** The runs of one turn; each is trained, masked or padding as a whole. */
function putRuns(parent, columns, from, to, state) {
  const kind = new Uint8Array(to);
  for (let i = from; i < to; i++) {
    // A character over several tokens is shown once, as trained where any of them is.
    kind[i] =
      columns.group(i) || i === from
        ? groupTrained(columns, i)
          ? 1
          : columns.padding[i]
            ? 2
            : 0
        : kind[i - 1];
  }
  const weight = (i) => (kind[i] === 1 && columns.weights ? columns.weights[i] : "");
  const same = (a, b) => kind[a] === kind[b] && (columns.group(b) === 0 || weight(a) === weight(b));
  for (const [first, past] of stretches(from, to, same)) {
    const name = ["masked", "trained", "padding"][kind[first]];
    const run = element(kind[first] === 1 ? "mark" : "span", `run ${name}`);
    run.dataset.gap = `${format(past - first)} ${name}`;
    if (weight(first) && weight(first) !== "1") {
      run.dataset.weight = `\u00d7${weight(first)}`;
      if (Number(weight(first)) < 1) run.classList.add("light");
    }
    if (kind[first] === 2) foldable(run);
    if (state.tokens) run.append(element("span", "unseen", `${name}: `));
    putTokens(run, columns, first, past, state);
    parent.append(run);
  }
}

function foldable(run) {
  run.tabIndex = 0;
  run.setAttribute("role", "button");
  run.setAttribute("aria-label", run.dataset.gap);
}

function putTokens(run, columns, first, past, state) {
  const edges = [firstText(columns, first, past, 1), firstText(columns, past - 1, first - 1, -1)];
  for (let i = first; i < past; i++) {
    if (columns.group(i) === 0) continue; // shown by the group's first
    const control = columns.control(i);
    let parent = run;
    if (state.tokens || control) {
      parent = element("span", tokenName(columns, i));
      parent.dataset.i = i;
      run.append(parent);
    }
    const edge = control ? 0 : (i === edges[0]) + 2 * (i === edges[1]);
    putText(parent, columns.text(i), {
      offset: columns.at[i],
      written: columns.written,
      edge,
      places: state.places,
    });
  }
}

/** The first token that has text, from one end of a run; a space there would not be seen. */
function firstText(columns, from, to, step) {
  for (let i = from; i !== to; i += step) if (columns.text(i)) return i;
  return -1;
}

function tokenName(columns, i) {
  let name = columns.control(i) ? "t control" : "t";
  if (columns.group(i) > 1) name += " group";
  if (columns.labels[i] !== (columns.trained[i] ? columns.ids[i] : -100)) name += " odd";
  const loss = columns.losses?.[i] ?? null;
  if (loss !== null) name += ` heat${levelOf(loss)}`;
  return name;
}

/** A loss is coloured by how many of the scale's bounds, in nats, it reaches. */
const levelOf = (loss) => shared.heat.filter((bound) => Number.isNaN(loss) || loss >= bound).length;
