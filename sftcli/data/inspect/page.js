// Toggles, light and dark, print, keys; then the page starts.

const KEYS = { m: "masked", c: "control", b: "borders", t: "targets", h: "heat" };

function toggle(name) {
  if (byId(name).hidden) return;
  shown[name] = !shown[name];
  applyToggles();
  if (name === "targets" && open.row) drawRow();
}

function applyToggles() {
  for (const [name, on] of Object.entries(shown)) byId(name).setAttribute("aria-pressed", String(on));
  article.classList.toggle("no-masked", !shown.masked);
  article.classList.toggle("no-control", !shown.control);
  article.classList.toggle("borders", shown.borders);
  article.classList.toggle("heat", shown.heat);
  byId("scale").hidden = !shown.heat;
  card.follow();
}

function buildScale() {
  byId("heat").hidden = !hasLosses;
  const scale = byId("scale");
  scale.append(element("span", "", "0"));
  [0, ...shared.heat].forEach((bound, level) => {
    const step = element("i", `heat${level}`);
    step.title = `${bound} nats or more: a probability of ${(100 * Math.exp(-bound)).toPrecision(2)}% or less`;
    scale.append(step);
  });
  scale.append(element("span", "", `${shared.heat.at(-1)} nats and more`));
}

function changeTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
}

/** Print the listed rows, one after the other, instead of the open one. */
function printListed() {
  byId("keys").close();
  const all = element("div", "all-rows");
  for (const row of list.rows) {
    const section = element("article");
    section.append(rowHead(row, shared), rowBody(columnsOf(row, shared), false).body);
    all.append(section);
  }
  document.body.append(all);
  document.body.classList.add("print-all");
  const done = () => {
    all.remove();
    document.body.classList.remove("print-all");
  };
  addEventListener("afterprint", done, { once: true });
  print();
}

function toggleFilters(show = byId("filters").hidden) {
  byId("filters").hidden = !show;
  byId("filter").setAttribute("aria-expanded", String(show));
  if (show) byId("filters").querySelector("input").focus();
}

// Keys.

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const typing = event.target.matches("input, select");
  const act = typing ? keyWhileTyping(event) : keyAction(event);
  if (!act) return;
  event.preventDefault();
  act();
}

function keyWhileTyping(event) {
  const inSearch = event.target === byId("search");
  if (event.key === "Escape")
    return inSearch && event.target.value ? clearSearch : () => byId("list").focus();
  if (inSearch && event.key === "Enter") return takeFirst;
  if (inSearch && event.key === "ArrowDown") return () => byId("list").focus();
  return null;
}

function clearSearch() {
  byId("search").value = "";
  startSearch();
}

/** From the search into the rows it found. */
function takeFirst() {
  if (!list.rows.includes(open.row)) openRow(list.rows[0]);
  byId("list").focus();
  goToHit(1);
}

function keyAction({ key, target }) {
  // A token that is switched off loses the focus to the body; the arrows still go on from it.
  const inRow = reader.contains(target) || (target === document.body && open.token);
  const act = (inRow && tokenKey(key, target)) || listKey(key, target);
  if (act) return act;
  if (KEYS[key]) return () => toggle(KEYS[key]);
  return {
    j: () => openRow(list.beside(1)),
    k: () => openRow(list.beside(-1)),
    n: () => goToHit(1),
    N: () => goToHit(-1),
    d: changeTheme,
    f: () => toggleFilters(),
    "/": () => byId("search").select(),
    "?": () => byId("keys").showModal(),
    Escape: () => stepBack(inRow),
  }[key];
}

function listKey(key, target) {
  if (target !== byId("list") && target !== document.body) return null;
  const screenful = Math.max(Math.floor(byId("list").clientHeight / ITEM) - 1, 1);
  const steps = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: screenful,
    PageUp: -screenful,
    Home: -Infinity,
    End: Infinity,
  };
  if (key in steps) return () => openRow(list.beside(steps[key]));
  return key === "Enter" ? enterRow : null;
}

function tokenKey(key, target) {
  const token = tokenAt(target) ?? open.token;
  if (key === "ArrowRight") return () => focusToken(besideToken(token, 1));
  if (key === "ArrowLeft") return () => focusToken(besideToken(token, -1));
  if (key === "Enter" && token === target) return () => token.click();
  if (key === "Enter" && target.matches(".run.padding")) return () => target.classList.toggle("unfolded");
  return null;
}

function enterRow() {
  if (!open.row) openRow(list.rows[0]);
  document.body.classList.add("reading");
  focusToken(besideToken(null, 1));
}

function stepBack(inRow) {
  if (card.pinned) return card.close();
  if (!inRow && search.pattern) return clearSearch();
  card.close();
  document.body.classList.remove("reading");
  // On a narrow screen the list is a place of its own, to which the browser's Back leads too.
  if (narrow.matches && location.hash.length > 1) history.pushState(null, "", "#");
  return byId("list").focus();
}

/** The search that the rows were found with. */
function lookFor(query) {
  search.exact = true;
  byId("exact").setAttribute("aria-pressed", "true");
  byId("search").value = query;
  startSearch();
}

function start() {
  const tokens = rows.reduce((sum, row) => sum + row.count, 0);
  const trained = rows.reduce((sum, row) => sum + row.trained, 0);
  const share = tokens ? ` (${percent(trained / tokens)})` : "";
  byId("totals").textContent =
    `${counted(rows.length, "row")} \u00b7 ${counted(tokens, "token")} \u00b7 ${format(trained)} trained${share}`;
  buildFilters();
  buildScale();
  watchTokens();
  applyToggles();
  listRows();
  for (const name of Object.keys(shown)) byId(name).addEventListener("click", () => toggle(name));
  byId("theme").addEventListener("click", changeTheme);
  byId("print").addEventListener("click", () => print());
  byId("print-all").addEventListener("click", printListed);
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("back").addEventListener("click", () => stepBack(true));
  byId("filter").addEventListener("click", () => toggleFilters());
  byId("filters").addEventListener("input", () => listRows());
  byId("clear").addEventListener("click", clearFilters);
  byId("order").addEventListener("change", () => listRows());
  byId("search").addEventListener("input", startSearch);
  byId("exact").addEventListener("click", toggleExact);
  document.querySelector(".find").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", goToHash);
  addEventListener("popstate", goToHash);
  if (rows.length) goToHash();
  else article.append(element("p", "notice", "There are no rows on this page."));
  if (shared.query) lookFor(shared.query);
}

start();
