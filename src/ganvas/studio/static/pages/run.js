// One run, live: its pictures, losses, alarms with what to do, and what can be done with it. All of it comes from the run's files.
import { address, every, get, post } from "../parts/api.js";
import { add, busy, fill, h, toast } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { plot } from "../parts/plot.js";
import { STATES, clock, count, label, short } from "../parts/words.js";
import { go, link } from "../app.js";

const MOST = 4000; // points of a curve

export async function show(page, { name }) {
  let found = await get("run", { name });
  const rows = [...found.numbers.rows];
  let at = found.numbers.at;
  const top = h("div", {}), state = h("div", { class: "panel stack" }), pictures = samples(name);
  const alarms = h("div", { class: "stack" }), curves = h("div", { class: "stack" }), about = h("div", { class: "stack" }), lines = h("div", {});
  add(page, [top, alarms, h("div", { class: "cols" }, h("div", { class: "stack" }, pictures.box, about), h("div", { class: "stack" }, state, curves)), lines]);
  const charts = makeCharts(curves), looking = looksAt(name);

  let shape = "";
  function draw() {
    const key = JSON.stringify([found.state, found.said, found.has, found.jobs, found.early]);
    if (key !== shape) { shape = key; head(); drawAbout(); drawLines(); }
    drawState(); drawAlarms();
    pictures.show(found.pictures || [], found.state === "running");
    charts.show(rows, found);
  }

  function head() {
    const tell = (what, words) => {
      const button = h("button", { type: "button" }, words);
      button.addEventListener("click", () => busy(button, () => post("act", { run: name, what }).then((made) => {
        toast(made.asked ? "asked: it ends after the round in play, and saves" : "in the queue");
        return refresh();
      })));
      return button;
    };
    const actions = [];
    if (found.state === "running") actions.push(tell("pause", "Pause"), tell("stop", "Stop"));
    if (found.state === "waiting") actions.push(tell("stop", "Take out of the queue"));
    if (found.has?.weights && found.state !== "running" && found.state !== "waiting") {
      if (found.state !== "done") actions.push(tell("resume", "Resume"));
      actions.push(further());
    }
    if (found.config) actions.push(h("a", { class: "button", href: link("make", { from: name }) }, "Fork with other settings"));
    if (found.has?.weights) actions.push(h("a", { class: "button main", href: link("use", { name }) }, "Use it"), h("a", { class: "button", href: link("trust", { name }) }, "Can I trust it?"));
    fill(top, h("div", { class: "head" }, h("div", {}, h("h1", {}, name),
      h("p", { class: "lead" }, found.title ? `${found.title} on ${found.data}` : `${found.system} on ${found.data}`)), h("div", { class: "row" }, actions)));
  }

  function further() {
    const long = h("input", { type: "text", value: found.settings?.budget || "10m", "aria-label": "Train until this budget in all, such as 20m" });
    long.style.width = "86px";
    const button = h("button", { type: "button" }, "Train on to");
    button.addEventListener("click", () => busy(button, () => post("act", { run: name, what: "resume", budget: long.value }).then(() => { toast("in the queue"); return refresh(); })));
    return h("span", { class: "row" }, button, long);
  }

  function drawState() {
    const last = rows.findLast?.((row) => row.rate !== undefined) || {};
    const facts = [["rounds", count(found.round)], ["samples seen", count(found.samples)], ["time used", clock(found.seconds)]];
    if (found.state === "running") facts.push(["left", clock(found.left)], ["samples a second", last.rate ? count(Math.round(last.rate)) : "–"]);
    if (last.memory) facts.push(["memory", `${(last.memory / 1e9).toFixed(2)} GB`]);
    const bar = h("i");
    bar.style.width = `${100 * (found.progress || 0)}%`;
    fill(state, h("div", { class: "row between" }, h("span", { class: `tag ${found.state}` }, STATES[found.state] || found.state), h("span", { class: "soft tiny" }, found.budget ? `budget ${found.budget}` : "")),
      h("div", { class: "bar", role: "progressbar", "aria-label": "Share of the budget", "aria-valuenow": Math.round(100 * (found.progress || 0)), "aria-valuemin": 0, "aria-valuemax": 100 }, bar),
      h("div", { class: "numbers" }, facts.map(([words, value]) => h("div", {}, h("b", {}, value), h("span", {}, words)))),
      found.state === "failed" ? h("div", { class: "note bad" }, found.said) : null,
      found.state === "running" && !rows.length ? h("p", { class: "soft" }, "Reading the data and setting up; the first numbers come in some seconds.") : null,
      (found.early || (!rows.length && found.log)) && found.log ? h("pre", { class: "log", tabindex: 0, "aria-label": "What the command said" }, found.log) : null);
  }

  function drawAlarms() {
    const said = new Map();
    for (const row of rows) if (row.alarm) said.set(row.alarm, row);
    const key = [...said.keys()].join("|");
    if (alarms.dataset.key === key) return;
    alarms.dataset.key = key;
    fill(alarms, [...said.values()].map((row) => {
      const [seen, advice] = row.said.replace(/^alarm: /, "").split("; try: ");
      return h("div", { class: "note bad", role: "alert" }, h("strong", {}, seen), advice ? h("div", {}, `What to do: ${advice}.`) : null);
    }));
  }

  function drawAbout() {
    const looks = (found.health?.looks || []).slice(-1)[0];
    const settings = Object.entries(found.config || {}).map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, label(key)), h("td", { class: "mono" }, String(value))));
    fill(about, found.config ? h("div", { class: "panel stack" },
      h("h2", {}, "What it learns"),
      h("p", {}, found.records, ". ", found.learnt, " to learn from, ", count(found.heldout), " held out."),
      looks ? h("p", { class: "soft" }, `At round ${count(looks.round)} the kernel distance to held-out records was ${short(looks.value)} [${short(looks.low)}, ${short(looks.high)}].`) : null,
      (found.notes || []).slice(0, 4).map((note) => h("p", { class: "soft tiny" }, note)),
      found.has.weights && found.state !== "running" ? looking : null,
      h("details", {}, h("summary", {}, "Settings"), h("table", {}, h("tbody", {}, settings))),
      h("details", {}, h("summary", {}, "Files"), h("ul", {}, files(name, found).map((one) => h("li", {}, one))))) : null);
  }

  function drawLines() {
    const jobs = found.jobs || [];
    fill(lines, h("div", { class: "panel stack" }, h("h2", {}, "The same as commands"),
      jobs.length ? jobs.map((job) => h("div", { class: "stack tight" }, command(job.line), job.state === "failed" ? h("div", { class: "note bad" }, job.said) : null))
        : found.first ? command(found.first.join(" ")) : null,
      found.lines?.resume ? command(found.lines.resume) : null));
  }

  async function refresh() {
    const next = await get("run", { name, after: at });
    if (next.numbers.anew) rows.length = 0;
    rows.push(...next.numbers.rows);
    if (rows.length > 2 * MOST) { const kept = rows.filter((row, k) => k % 2 === 0 || row.alarm); rows.splice(0, rows.length, ...kept); }
    at = next.numbers.at;
    found = next;
    draw();
  }
  draw();
  every(1, page, refresh);
  document.getElementById("page").addEventListener("leave", () => { charts.end(); }, { once: true });
}

// What its discriminator looks at, of made and of real records.
function looksAt(name) {
  const out = h("div", { class: "stack" });
  const button = h("button", { type: "button" }, "What does the discriminator look at?");
  button.addEventListener("click", () => busy(button, async () => {
    button.textContent = "Asking it …";
    const found = await get("looks-at", { name });
    const named = (side) => side === "made" ? "Made by the generator" : "Real, held out";
    fill(out, Object.entries(found.sides).map(([side, files]) => h("div", { class: "stack tight" }, h("h3", {}, named(side)),
      h("div", { class: "results" }, files.map((file) => h("img", { class: "sample", src: address("made-file", { made: found.made, file }), alt: `${side}: a record, and where the discriminator looks` }))))),
    h("p", { class: "soft tiny" }, "Each record beside a map of how its answer changes with every pixel. It says where a small change would change its mind, not why."),
    Object.entries(found.pairs).map(([side, pairs]) => h("div", { class: "stack tight" }, h("h3", {}, `${named(side)}, and the training record most alike to it`),
      h("div", { class: "results" }, pairs.map((pair) => h("figure", { class: "tiny" }, h("img", { class: "sample", src: address("made-file", { made: found.made, file: pair.file }), alt: `${side}: a record, and the training record most alike to it` }), h("figcaption", { class: "soft" }, pair.alike.toFixed(2))))))),
    Object.keys(found.pairs).length ? h("p", { class: "soft tiny" }, "Most alike by what its last layer gets of them (cosine, 1 at most), of up to 500 training records. Held-out records show what is usual: made ones that are much nearer may be copies.") : null);
  }));
  return h("div", { class: "stack" }, h("div", { class: "row" }, button), out);
}

function files(name, found) {
  const shown = [["config.yaml", "config.yaml"], ["metrics.jsonl", "metrics.jsonl"]];
  if (found.has.card) shown.push(["MODEL_CARD.md", "model card"]);
  return shown.map(([file, words]) => h("a", { href: address("run-file", { name, file }), target: "_blank", rel: "noopener" }, words)).concat(h("span", { class: "mono" }, found.folder));
}

// The pictures of a run, the newest by itself; a slider turns back.
function samples(name) {
  const image = h("img", { class: "sample", alt: "Samples of the moment; always of the same noise" });
  const range = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Turn back to earlier samples" });
  const told = h("span", { class: "soft tiny" });
  const box = h("div", { class: "panel stack" }, h("div", { class: "row between" }, h("h2", {}, "Samples"), told), image, range);
  let rounds = [], newest = true, shown = null;
  function draw() {
    const round = rounds[Number(range.value)];
    if (round === undefined) { told.textContent = "the first picture comes when the data is read"; image.hidden = true; range.hidden = true; return; }
    image.hidden = false;
    range.hidden = rounds.length < 2;
    told.textContent = `round ${count(round)}${newest ? ", the newest" : ""}`;
    range.setAttribute("aria-valuetext", told.textContent);
    if (shown === round) return;
    shown = round;
    const next = new Image();
    next.onload = () => { if (shown === round) { image.src = next.src; image.dataset.round = round; image.classList.toggle("smooth", next.naturalWidth > 700); } };
    next.src = address("picture", { name, round });
  }
  range.addEventListener("input", () => { newest = Number(range.value) === rounds.length - 1; draw(); });
  return { box, show(next) {
    const held = rounds[Number(range.value)];
    rounds = next;
    range.max = Math.max(0, rounds.length - 1);
    range.value = newest || !rounds.includes(held) ? rounds.length - 1 : rounds.indexOf(held);
    draw();
  } };
}

// Curves for whatever the logs hold: losses by player, certainty where it has a meaning, gradients, what was measured.
function makeCharts(box) {
  const charts = new Map();
  function chart(key, title, help, names, options) {
    let held = charts.get(key);
    if (!held || held.names.join() !== names.join()) {
      held?.panel.remove();
      held?.made.end();
      const made = plot(names, options);
      const panel = h("div", { class: "panel stack" }, h("h2", {}, title), made, help ? h("p", { class: "soft tiny" }, help) : null);
      held = { names, made, panel };
      charts.set(key, held);
      box.append(panel);
    }
    return held.made;
  }
  return {
    end() { for (const one of charts.values()) one.made.end(); charts.clear(); },
    show(rows, found) {
      const logged = rows.filter((row) => Object.keys(row).some((key) => key.startsWith("terms/")));
      if (logged.length < 2) return;
      const step = Math.ceil(logged.length / MOST);
      const thin = step > 1 ? logged.filter((row, k) => k % step === 0) : logged;
      const x = thin.map((row) => row.round);
      const terms = [...new Set(thin.slice(-50).concat(thin.slice(0, 5)).flatMap((row) => Object.keys(row)))].filter((key) => key.startsWith("terms/")).sort();
      chart("losses", "Losses", "They tell who is ahead, not how good the samples are.", terms.map((key) => key.slice(6)), { says: "Losses by player" })
        .show([x, ...terms.map((key) => thin.map((row) => row[key] ?? null))]);
      for (const [player, guess] of Object.entries(found.health?.undecided || {})) {
        const sure = thin.map((row) => {
          const [real, fake] = [row[`terms/${player}/real`], row[`terms/${player}/fake`]];
          return real === undefined || fake === undefined || real === null ? null : Math.exp(-(real + fake) * Math.log(2) / guess);
        });
        if (sure.some((value) => value !== null)) {
          chart(`sure-${player}`, `How sure is the ${player}?`, "The probability that it gives the truth (geometric mean). 0.5 is guessing; outside 0.1 to 0.9 the other player learns little.", ["probability of the truth"], { low: 0, high: 1, height: 160, bands: [[0.1, 0.9]], says: "Certainty of the discriminator with the band from 10 to 90 percent" }).show([x, sure]);
        }
      }
      const looks = rows.filter((row) => row["health/kernel_distance"] !== undefined);
      if (looks.length > 1) {
        chart("quality", "Distance to real records", "Kernel distance of samples to records that were held out, with its 95 % interval: lower is better.", ["kernel distance", "low", "high"], { height: 160, says: "Kernel distance over rounds" })
          .show([looks.map((row) => row.round), ...["kernel_distance", "low", "high"].map((key) => looks.map((row) => row[`health/${key}`] ?? null))]);
      }
      const varied = thin.filter((row) => row["health/diversity"] !== undefined);
      if (varied.length > 1) chart("diversity", "Variety of samples", "How far samples lie from each other: near 0 they are all the same.", ["variety"], { height: 130, says: "Variety over rounds" }).show([varied.map((row) => row.round), varied.map((row) => row["health/diversity"])]);
      const norms = terms.length ? [...new Set(thin.slice(-20).flatMap((row) => Object.keys(row)))].filter((key) => key.startsWith("norms/")).sort() : [];
      if (norms.length) chart("norms", "Gradients", "Length of each player's gradient.", norms.map((key) => key.slice(6)), { height: 130, says: "Gradient norms over rounds" }).show([x, ...norms.map((key) => thin.map((row) => row[key] ?? null))]);
    },
  };
}
export { go };
