// All runs: pictures, states, verdicts, search; some of them beside each other.
import { address, every, get, post } from "../parts/api.js";
import { add, busy, fill, h } from "../parts/dom.js";
import { STATES, ago, clock, count } from "../parts/words.js";
import { go, link } from "../app.js";

export async function show(page) {
  const chosen = new Set();
  const search = h("input", { type: "search", placeholder: "Search by name, system or data", "aria-label": "Search runs" });
  const states = h("select", { "aria-label": "Which states" }, h("option", { value: "" }, "all states"), Object.entries(STATES).map(([key, word]) => h("option", { value: key }, word)));
  const list = h("div", { class: "panel" });
  const told = h("span", { class: "soft tiny", role: "status" });
  const beside = h("button", { type: "button", disabled: true }, "Compare");
  beside.addEventListener("click", () => go("compare", { names: [...chosen].join("|") }));
  const queue = h("div", {});
  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Runs")), h("a", { class: "button main", href: link("make") }, "New run")),
    h("div", { class: "row" }, grow(search), states, beside, told), queue, list,
  ]);
  states.style.width = "auto";
  let found = await get("runs");
  const rows = new Map();
  let shown = 30;

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = found.runs.filter((run) => (!states.value || run.state === states.value)
      && words.every((word) => `${run.name} ${run.system} ${run.data} ${run.verdict || ""}`.toLowerCase().includes(word)));
    told.textContent = `${fit.length} of ${found.runs.length}`;
    // The first rows at once, the others when the browser has time.
    const begun = shown;
    if (shown < fit.length) (window.requestIdleCallback || setTimeout)(() => { if (page.isConnected && shown === begun) { shown += 60; draw(); } });
    const wanted = fit.slice(0, shown).map((run) => {
      const mark = JSON.stringify(run);
      const held = rows.get(run.name);
      if (held && held.mark === mark) return held.row;
      const made = row(run);
      rows.set(run.name, { mark, row: made });
      return made;
    });
    if (!wanted.length) {
      fill(list, h("div", { class: "empty" }, found.runs.length ? "Nothing fits the search." : ["No runs yet.", h("a", { class: "button main", href: link("home") }, "Make something")]));
      return;
    }
    // Rows that stay are left where they are, so that focus and pictures stay too.
    wanted.forEach((one, place) => { if (list.children[place] !== one) list.insertBefore(one, list.children[place] || null); });
    while (list.children.length > wanted.length) list.lastChild.remove();
  }

  function drawQueue() {
    const waiting = found.jobs.filter((job) => job.state === "waiting" || job.does !== "train");
    fill(queue, waiting.length ? h("div", { class: "panel stack" }, h("h2", {}, "Queue"), waiting.map((job) => {
      const button = h("button", { type: "button" }, job.state === "waiting" ? "Take out" : "End");
      button.addEventListener("click", () => busy(button, () => post("cancel", { job: job.id }).then(refresh)));
      return h("div", { class: "row between" }, h("span", { class: "mono" }, job.line), h("span", { class: "row" }, h("span", { class: `tag ${job.state}` }, job.state === "running" ? job.does : "waiting"), button));
    })) : null);
  }

  function row(run) {
    const box = h("input", { type: "checkbox", checked: chosen.has(run.name), "aria-label": `Choose ${run.name} for comparing`, disabled: run.early });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(run.name); else chosen.delete(run.name);
      beside.disabled = chosen.size < 2;
    });
    const picture = run.picture === null ? h("div", { class: "thumb" }) : h("img", { class: "thumb", src: address("picture", { name: run.name, round: run.picture, width: 112 }), alt: "", loading: "lazy" });
    const tags = [h("span", { class: `tag ${run.state}` }, STATES[run.state] || run.state)];
    if (run.alarms) tags.push(h("span", { class: "tag alarm" }, run.alarms === 1 ? "1 alarm" : `${run.alarms} alarms`));
    if (run.verdict) tags.push(h("span", { class: `tag ${run.verdict === "clear" ? "done" : "alarm"}` }, `copies: ${run.verdict}`));
    const told = run.wrong || (run.state === "running" || run.state === "paused" ? `${Math.round(100 * run.progress)} %, ${clock(run.left)} left` : ago(run.changed));
    return h("div", { class: "runs-row" }, box, picture,
      h("div", { class: "stack tight" },
        h("a", { class: "name", href: link("run", { name: run.name }) }, run.name),
        h("span", { class: "soft tiny" }, run.wrong ? run.wrong : `${run.system} on ${run.data}${run.samples ? `, ${count(run.samples)} samples seen` : ""}`)),
      h("div", { class: "stack tight" }, h("div", { class: "row" }, tags), h("span", { class: "soft tiny" }, told)));
  }

  async function refresh() {
    const next = await get("runs", { mark: found.mark });
    if (next.same) return;
    found = next;
    draw();
    drawQueue();
  }
  search.addEventListener("input", draw);
  states.addEventListener("change", draw);
  draw();
  drawQueue();
  every(1.5, page, refresh);
}

function grow(element) {
  element.style.flex = "1 1 240px";
  element.style.width = "auto";
  return element;
}
