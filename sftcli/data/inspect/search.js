// Search: which rows hold a text, and where the open one does.

function startSearch() {
  const query = byId("search").value;
  search.run += 1;
  search.pattern = search.found = null;
  search.total = 0;
  byId("search").setCustomValidity("");
  byId("search").removeAttribute("aria-invalid");
  if (query) {
    try {
      search.pattern = patternOf(query, search.exact);
    } catch (problem) {
      byId("search").setAttribute("aria-invalid", "true");
      byId("count").textContent = problem.message;
      return;
    }
    search.found = new Map();
  }
  markHits();
  if (query) scan(search.run, 0);
  else listRows();
}

/** Search as many rows as 12 ms allow, show them, and go on: keys stay quick in a long list. */
function scan(run, from) {
  if (run !== search.run) return;
  const until = performance.now() + 12;
  let at = from;
  while (at < rows.length && performance.now() < until) {
    const count = matchesOf(search.pattern, textOf(rows[at], shared)).length;
    if (count) search.found.set(rows[at], count);
    search.total += count;
    at += 1;
  }
  if (at < rows.length) setTimeout(scan, 0, run, at);
  listRows(at < rows.length);
  if (at === rows.length) showFound();
}

/** What was looked for is to be seen: in the open row, or else in the first that is listed. */
function showFound() {
  if (narrow.matches) return; // there the list is all that is seen
  if (!list.rows.includes(open.row)) openRow(list.rows[0]);
  const [first] = open.hits;
  if (first) reveal(first[0]);
}

/** Scrolls to a match; twice, as the turns of a long row have their true heights only once they are drawn. */
function reveal(range) {
  const token = range.startContainer.parentElement;
  const scroll = () => token.scrollIntoView({ block: "center" });
  scroll();
  requestAnimationFrame(() => requestAnimationFrame(scroll));
}

function toggleExact() {
  search.exact = !search.exact;
  byId("exact").setAttribute("aria-pressed", String(search.exact));
  startSearch();
}

/** Marks the matches in the open row. */
function markHits() {
  const text = search.pattern && open.row && !shown.targets ? textOf(open.row, shared) : "";
  open.hits = text ? matchesOf(search.pattern, text).map(([from, to]) => rangesOf(from, to)) : [];
  open.hit = -1;
  showHits();
  if (!globalThis.Highlight) return; // an older browser: found and counted, but not marked
  CSS.highlights.set("found", new Highlight(...open.hits.flat()));
  CSS.highlights.delete("current");
}

/** A stretch of the row's text as stretches of the page, which has more between them than the text. */
function rangesOf(from, to) {
  const ranges = [];
  for (let at = placeOf(from); at < open.places.length && open.places[at].offset < to; at++) {
    const { offset, node, literal } = open.places[at];
    const range = new Range();
    range.setStart(node, literal ? Math.max(from - offset, 0) : 0);
    range.setEnd(node, literal ? Math.min(to - offset, node.length) : node.length);
    ranges.push(range);
  }
  return ranges;
}

/** Which of the places holds an offset of the row's text. */
function placeOf(offset) {
  let low = 0;
  let high = open.places.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (open.places[middle].offset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

function showHits() {
  const { hits, hit } = open;
  const here =
    hit < 0 ? `${format(hits.length)} in this row` : `${format(hit + 1)} of ${format(hits.length)}`;
  byId("hits").textContent = search.pattern && !shown.targets ? here : "";
}

function goToHit(step) {
  if (!open.hits.length) return;
  open.hit = (open.hit + step + (open.hit < 0 && step < 0 ? 1 : 0) + open.hits.length) % open.hits.length;
  const ranges = open.hits[open.hit];
  if (globalThis.Highlight) CSS.highlights.set("current", new Highlight(...ranges));
  reveal(ranges[0]);
  showHits();
}
