// Which rows are listed, and in which order.

const bound = (id, otherwise) => (byId(id).value === "" ? otherwise : Number(byId(id).value));

function filtered() {
  const within = (name, value) =>
    value >= bound(`${name}-least`, -Infinity) && value <= bound(`${name}-most`, Infinity);
  const marks = [...byId("marks").querySelectorAll("input:checked")].map((box) => box.value);
  const marked = (row) => !marks.length || marks.some((mark) => marksOf(row).includes(mark));
  const kept = rows.filter(
    (row) =>
      (!search.found || search.found.has(row)) &&
      within("tokens", row.count) &&
      within("share", Math.round(1000 * row.share) / 10) &&
      within("turns", row.turns ?? 0) &&
      marked(row),
  );
  const order = ORDERS[byId("order").value];
  return order ? kept.sort(order) : kept;
}

const marksOf = (row) => (row.dropped ? ["dropped", ...row.marks] : row.marks);

function listRows(searching = false) {
  const kept = filtered();
  list.set(kept);
  const all = rows.length === kept.length && !search.found;
  const matches = search.found
    ? ` \u00b7 ${counted(search.total, "match").replace("matchs", "matches")}`
    : "";
  byId("count").textContent =
    (all ? counted(rows.length, "row") : `${format(kept.length)} of ${counted(rows.length, "row")}`) +
    matches +
    (searching ? " so far" : "");
  byId("filter").classList.toggle("on", isFiltered());
  byId("print-all").textContent = `Print the listed ${counted(kept.length, "row")}`;
  if (open.row) list.activate(open.row, false);
}

const isFiltered = () =>
  [...byId("filters").querySelectorAll("input")].some(
    (input) => input.checked || (input.type === "number" && input.value),
  );

function clearFilters() {
  for (const input of byId("filters").querySelectorAll("input")) {
    if (input.type === "checkbox") input.checked = false;
    else input.value = "";
  }
  listRows();
}

function buildFilters() {
  const counts = new Map();
  for (const mark of rows.flatMap(marksOf)) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  for (const [mark, count] of [...counts].sort()) {
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.value = mark;
    label.append(box, element("span", "mark", mark), ` ${format(count)}`);
    byId("marks").append(label);
  }
  byId("turns").hidden = !rows.some((row) => row.turns !== null);
  for (const name of Object.keys(ORDERS)) {
    if (hasLosses || !name.includes("loss")) byId("order").append(new Option(name));
  }
}
