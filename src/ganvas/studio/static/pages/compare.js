// Runs beside each other: samples of today, the same measures, and the settings in which they differ.
import { address, get } from "../parts/api.js";
import { add, h } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { clock, count, label } from "../parts/words.js";
import { link } from "../app.js";

export async function show(page, { names = "" }) {
  const runs = await Promise.all(names.split("|").filter(Boolean).slice(0, 8).map((name) => get("run", { name, after: 1e15 })));
  const rows = [];
  const row = (title, values) => { if (new Set(values).size > 1 || ["system", "data"].includes(title)) rows.push([title, values]); };
  row("system", runs.map((run) => run.system));
  row("data", runs.map((run) => run.data));
  rows.push(["samples seen", runs.map((run) => count(run.samples))], ["time used", runs.map((run) => clock(run.seconds))], ["alarms", runs.map((run) => String(run.alarms))]);
  for (const part of ["settings", "config"]) {
    for (const key of new Set(runs.flatMap((run) => Object.keys(run[part] || {})))) if (key !== "data") row(label(key), runs.map((run) => String(run[part]?.[key] ?? "–")));
  }
  const measures = [...new Set(runs.flatMap((run) => (run.evaluation?.rows || []).map((one) => one.name)))];
  for (const name of measures) rows.push([name, runs.map((run) => run.evaluation?.rows?.find((one) => one.name === name)?.value ?? "–")]);
  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Compare"), h("p", { class: "lead" }, "Numbers rank only where they were measured alike; ", h("span", { class: "mono" }, "ganvas compare"), " says which are."))),
    h("div", { class: "grid" }, runs.map((run) => h("a", { class: "card", href: link("run", { name: run.name }) },
      run.picture === null ? null : h("img", { class: "sample", src: address("picture", { name: run.name, round: run.picture }), alt: `Samples of ${run.name}`, loading: "lazy" }), h("div", { class: "body" }, h("h2", {}, run.name))))),
    h("div", { class: "panel scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, ""), runs.map((run) => h("th", { scope: "col" }, run.name)))),
      h("tbody", {}, rows.map(([title, values]) => h("tr", {}, h("th", { scope: "row" }, title), values.map((value) => h("td", { class: "mono" }, value))))))),
    command(`ganvas compare ${runs.map((run) => run.folder).join(" ")}`),
  ]);
}
