// The page's state, and the open row in it.

const shared = readShared();
const rows = readRows(shared);
const hasLosses = rows.some((row) => row.losses !== undefined);
const narrow = matchMedia("(max-width: 760px)");
const reader = byId("reader");
const article = byId("row");
const card = new Card(byId("card"));
const list = new RowList(byId("list"), byId("listed"), rows, shared, (index) =>
  openRow(rows[index], { push: true }),
);

const open = { row: null, token: null, columns: null, places: [], hits: [], hit: -1 };
const shown = { masked: true, control: true, borders: false, targets: false, heat: hasLosses };
const search = { pattern: null, exact: false, found: null, total: 0, run: 0 };

function openRow(row, { push = false, reveal = true } = {}) {
  if (!row) return;
  Object.assign(open, { row, token: null, columns: columnsOf(row, shared) });
  drawRow();
  reader.scrollTop = 0;
  list.activate(row, reveal);
  document.body.classList.add("reading");
  const hash = `#row=${row.row}`;
  if (location.hash !== hash) history[push ? "pushState" : "replaceState"](null, "", hash);
}

function drawRow() {
  card.close();
  const strip = element("div", "strip tall");
  paintStrip(strip, open.row);
  strip.title = "Where the row is trained; click to go there";
  strip.addEventListener("click", (event) =>
    goTo(Math.floor((open.row.size * event.offsetX) / strip.clientWidth)),
  );
  const { body, places } = shown.targets
    ? { body: targetsTable(open.row, open.columns), places: [] }
    : rowBody(open.columns);
  open.places = places;
  article.replaceChildren(rowHead(open.row, shared), strip, body);
  article.classList.toggle("long", open.row.size > 3_000);
  markHits();
}

function goTo(i) {
  if (shown.targets) return;
  const token = article.querySelector(`[data-i="${groupHead(open.columns, i)}"]`);
  token?.scrollIntoView({ block: "center" });
  if (token) focusToken(token);
}

function goToHash() {
  const wanted = /^#row=(-?\d+)$/.exec(location.hash);
  const row = wanted && rows.find((one) => one.row === Number(wanted[1]));
  if (row) openRow(row);
  else if (!narrow.matches && !open.row) openRow(list.rows[0]);
  else if (narrow.matches) document.body.classList.remove("reading");
}

// Tokens.

const tokenAt = (target) => target.closest?.(".t[data-i]");

/** The next token that is on the page, in a direction; some may be switched off. */
function besideToken(token, step) {
  const all = [...article.querySelectorAll(".t[data-i]")];
  let at = token ? all.indexOf(token) : step > 0 ? -1 : all.length;
  do at += step;
  while (all[at] && !all[at].getClientRects().length);
  return all[at];
}

function focusToken(token) {
  if (!token) return;
  card.close();
  token.tabIndex = -1;
  token.focus({ preventScroll: true });
  token.scrollIntoView({ block: "nearest" });
}

function watchTokens() {
  article.addEventListener("pointerover", (event) => {
    const token = tokenAt(event.target);
    if (token) card.show(token, open.columns);
    else if (!card.pinned) card.close();
  });
  article.addEventListener("pointerleave", () => card.pinned || card.close());
  article.addEventListener("focusin", (event) => {
    open.token = tokenAt(event.target);
    if (open.token) card.show(open.token, open.columns);
  });
  article.addEventListener("focusout", () => card.pinned || card.close());
  article.addEventListener("click", (event) => {
    const folded = event.target.closest(".run.padding");
    if (folded && !tokenAt(event.target)) folded.classList.toggle("unfolded");
    const token = tokenAt(event.target);
    const again = token && token === card.pinned;
    card.close();
    if (token && !again) card.show(token, open.columns, true);
  });
  reader.addEventListener("scroll", () => card.close(), { passive: true });
}
