// Make: what to learn from, which system, the few settings that matter, what it will take, start. Also a fork of a run.
import { address, get, post } from "../parts/api.js";
import { add, busy, fill, h, toast } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { form } from "../parts/form.js";
import { go } from "../app.js";

const BUDGETS = [["3m", "3 minutes"], ["10m", "10 minutes"], ["1h", "1 hour"], ["8h", "a night"]];

export async function show(page, asked) {
  const [all, home, about] = await Promise.all([get("systems"), get("home"), get("about")]);
  const from = asked.from ? await get("run", { name: asked.from, after: 1e15 }) : null;
  const own = from ? own_settings(from, all.run) : {};
  const start = {
    data: from ? from.settings.data : asked.data || "", system: from ? from.system : asked.system || "",
    run: { budget: asked.budget, ...own }, config: from ? from.config : {},
  };
  if (asked.run) Object.assign(start.run, JSON.parse(asked.run));
  if (asked.config) start.config = JSON.parse(asked.config);

  // Home names a system for what is wanted; the data may be made for another one of the same task (pairs, for one).
  const task = home.wants.find((want) => want.id === asked.want)?.task;
  let touched = false;
  const data = dataPart(start.data, home.built_in, about.data, changed, (choice) => {
    if (touched || choice.task !== task || choice.system === system.value) return "";
    system.value = choice.system;
    chooseSystem().catch((error) => toast(error.message, true));
    return `${choice.system} is chosen below.`;
  });
  const system = h("select", { id: "system", "aria-label": "System" }, h("option", { value: "" }, "Pick for me, by the data"),
    Object.entries(Object.groupBy ? Object.groupBy(all.systems, (one) => one.task) : group(all.systems)).map(([task, own]) =>
      h("optgroup", { label: task }, own.map((one) => h("option", { value: one.name }, `${one.name}: ${one.summary}`)))));
  system.value = start.system;
  const preset = h("select", { id: "preset", "aria-label": "Preset" });
  const paper = h("p", { class: "soft tiny" }), settings = h("div", { class: "stack" });
  const run = form(all.run, start.run);
  const quick = h("div", { class: "segment", role: "group", "aria-label": "How long" }, BUDGETS.map(([value, words]) => {
    const button = h("button", { type: "button", "aria-pressed": String(value === start.run.budget) }, words);
    button.addEventListener("click", () => { run.fields.get("budget").set(value); press(); changed(); });
    button.dataset.value = value;
    return button;
  }));
  const press = () => { for (const one of quick.children) one.setAttribute("aria-pressed", String(one.dataset.value === run.fields.get("budget").value())); };
  const name = h("input", { type: "text", id: "name", placeholder: "chosen by itself", autocomplete: "off", "aria-label": "Name of the run" });
  const weights = h("input", { type: "checkbox", id: "weights" });
  const line = command("ganvas train …"), told = h("div", { class: "stack" });
  let values = null;

  function given() {
    return {
      data: data.value(), system: system.value, preset: preset.value === "auto" ? "" : preset.value, fields: data.fields(),
      run: run.values(), config: values ? values.values() : {}, name: name.value.trim(),
      from: asked.from, weights: weights.checked,
    };
  }

  const begin = h("button", { type: "button", class: "main", id: "start" }, from ? "Start the fork" : "Start training");
  begin.addEventListener("click", () => busy(begin, async () => {
    const made = await post("train", given());
    toast(`${made.run} is in the queue`);
    go("run", { name: made.run });
  }));
  const guess = h("button", { type: "button" }, "What will it take?");
  guess.addEventListener("click", () => busy(guess, async () => {
    guess.textContent = "Trying some rounds …";
    const found = await post("estimate", given());
    fill(told, h("table", {}, h("tbody", {}, found.lines.map((one) => {
      const [word, ...rest] = one.split(/\s{2,}| (?=.)/);
      return h("tr", {}, h("th", { scope: "row" }, word), h("td", {}, one.slice(word.length).trim()));
    }))));
  }));

  async function chooseSystem() {
    fill(settings);
    fill(preset, h("option", { value: "auto" }, "auto: by the data and the budget"));
    values = null;
    if (!system.value) { paper.textContent = "The system that came farthest in such a time on such data is taken; you see which before you start."; changed(); return; }
    paper.textContent = "Loading …";
    const mine = system.value;
    const found = await get("system", { name: mine });
    if (mine !== system.value) return;
    paper.textContent = `${found.title}, ${found.authors}, ${found.year} (${found.paper})`;
    fill(preset, Object.entries(found.presets).map(([key, words]) => h("option", { value: key }, key === "auto" ? "auto: by the data and the budget" : `${key}: ${words}`.slice(0, 110))));
    if (from) preset.value = "auto";
    values = form(found.settings, start.system === mine ? start.config : {});
    fill(settings, h("h3", {}, `Settings of ${mine}`), values);
    values.addEventListener("input", changed);
    changed();
  }

  let waiting;
  function changed() {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const ready = Boolean(data.value());
      begin.disabled = guess.disabled = !ready;
      if (!ready) { line.say("ganvas train …  choose data first"); return; }
      try { line.say((await post("train-line", given())).line); } catch (error) { line.say(error.message); }
    }, 250);
  }

  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, from ? `Fork of ${asked.from}` : "Make"),
      h("p", { class: "lead" }, from ? "The same run with other settings. Everything that you leave stays as it was." : "Choose what to learn from. Everything else has a sensible beginning."))),
    h("div", { class: "cols" },
      h("div", { class: "stack" },
        h("section", { class: "panel stack" }, h("h2", {}, "1. Learn from"), data.box),
        h("section", { class: "panel stack" }, h("h2", {}, "2. System"), system, paper, h("label", { class: "field" }, h("span", { class: "name" }, "preset"), preset), settings),
        h("section", { class: "panel stack" }, h("h2", {}, "3. How long, how large"), quick, run)),
      h("div", { class: "stack" },
        h("section", { class: "panel stack" }, h("h2", {}, "Start"),
          h("label", { class: "field" }, h("span", { class: "name" }, "name"), name),
          from ? h("label", { class: "check" }, weights, h("span", {}, "start from its weights")) : null,
          h("div", { class: "row" }, begin, guess), told, line, h("p", { class: "soft tiny" }, "Training is a process of its own: close this page when you like."))))
  ]);
  for (const one of [run, name, weights, preset]) one.addEventListener("input", () => { press(); changed(); });
  system.addEventListener("change", () => { touched = true; });
  system.addEventListener("change", () => chooseSystem().catch((error) => toast(error.message, true)));
  chooseSystem().catch((error) => toast(error.message, true));
  if (asked.mine) data.mine();
  changed();
}

function group(systems) {
  const found = {};
  for (const one of systems) (found[one.task] ??= []).push(one);
  return found;
}

// Of a run that is forked, the settings that are not the usual ones.
function own_settings(run, items) {
  const usual = Object.fromEntries(items.map((item) => [item.name, item.default]));
  return Object.fromEntries(Object.entries(run.settings).filter(([key, value]) => key in usual && value !== usual[key] && value !== null && key !== "rate"));
}

// Built-in data, a folder below those that were named, or its name typed; with a look through it.
// fits: told which system the data would be given to; returns what is to be said of it.
function dataPart(start, builtIn, roots, changed, fits) {
  const name = h("input", { type: "text", id: "data", value: start, placeholder: "a folder, a file, or built-in data", "aria-label": "Data", autocomplete: "off" });
  const fieldsOf = h("input", { type: "text", placeholder: "photo=FOLDER,map=FOLDER", "aria-label": "Fields, where they are not found by their names", autocomplete: "off" });
  const chosen = h("select", { "aria-label": "Built-in data" }, h("option", { value: "" }, "choose …"), builtIn.flatMap((one) => [one.name, ...one.variants.map((v) => `${one.name}:${v}`)].map((value) =>
    h("option", { value }, value === one.name ? `${value}: ${one.summary}`.slice(0, 100) : `  ${value}`))));
  const folders = h("div", { class: "stack tight" }), found = h("div", { class: "stack" });
  const tabs = h("div", { class: "segment", role: "group", "aria-label": "Whose data" });
  const built = h("div", {}, chosen), mine = h("div", { class: "stack" }, folders, h("label", { class: "field" }, h("span", { class: "name" }, "folder or file"), name),
    h("details", {}, h("summary", {}, "Records of several fields"), h("label", { class: "field" }, fieldsOf, h("span", { class: "help" }, "Fields are found by folders of their names, or columns of a table; name them here where they are not."))));
  const known = new Set(builtIn.map((one) => one.name));
  const pick = (which) => {
    built.hidden = which !== "built";
    mine.hidden = which === "built";
    for (const one of tabs.children) one.setAttribute("aria-pressed", String(one.dataset.tab === which));
  };
  for (const [key, words] of [["built", "Built-in data"], ["mine", "My data"]]) {
    const button = h("button", { type: "button", data: { tab: key } }, words);
    button.addEventListener("click", () => { pick(key); if (key === "mine" && !folders.children.length) browse(""); });
    tabs.append(button);
  }
  if (start && known.has(start.split(":")[0])) { chosen.value = start; pick("built"); } else pick(start ? "mine" : "built");
  chosen.addEventListener("change", () => { name.value = chosen.value; fill(found); changed(); });
  name.addEventListener("input", changed);
  fieldsOf.addEventListener("input", changed);

  // What is shown belongs to the folder before until the next is there: nothing of it can be taken meanwhile.
  async function browse(path) {
    const shown = folders.querySelectorAll("button");
    for (const one of shown) one.disabled = true;
    try {
      const there = await get("folders", { path });
      if (!roots.length) {
        fill(folders, h("div", { class: "note" }, "No folder of data was named when the studio was started. Start it so, and its folders can be chosen here: "), command("ganvas studio --data FOLDER"));
        return;
      }
      const button = (words, next, kind) => { const made = h("button", { type: "button", class: kind || "quiet" }, words); made.addEventListener("click", next); return made; };
      fill(folders,
        there.path ? h("div", { class: "row between" }, h("span", { class: "mono" }, there.path, h("span", { class: "soft" }, there.files ? `  ${there.files} file${there.files === 1 ? "" : "s"}` : "")),
          h("span", { class: "row" }, button("Up", () => browse(there.parent)), button("Take this folder", () => { name.value = there.path; fill(found); changed(); lookThrough(); }, ""))) : null,
        h("div", { class: "row" }, there.folders.slice(0, 60).map((one) => button(one.name, () => browse(one.path)))),
        there.folders.length > 60 ? h("p", { class: "soft tiny" }, `and ${there.folders.length - 60} more: type the name`) : null);
    } catch (error) {
      for (const one of shown) one.disabled = false;
      toast(error.message, true);
    }
  }

  // Another folder may be taken while one is looked through: the last one's answer is shown.
  const look = h("button", { type: "button" }, "Look through it");
  let latest = 0;
  async function lookThrough() {
    const mine = ++latest, asked = name.value;
    look.textContent = "Looking …";
    look.setAttribute("aria-busy", "true");
    try {
      const told = await post("data", { data: asked });
      if (mine !== latest || asked !== name.value) return;
      fill(found,
        told.wrong ? h("div", { class: "note bad" }, told.wrong) : null,
        told.picture ? h("img", { class: "sample smooth", src: address("made-file", { made: told.made, file: told.picture }), alt: "Some of its records" }) : null,
        told.choice ? h("div", { class: "note good" }, h("strong", {}, "Pick for me would take: "), told.choice.told, h("div", {}, fits(told.choice))) : null,
        told.lines.length ? h("pre", { class: "log", tabindex: 0, "aria-label": "What the check found" }, told.lines.join("\n")) : null, command(told.line));
    } catch (error) {
      if (mine === latest) toast(error.message, true);
    } finally {
      if (mine === latest) {
        look.textContent = "Look through it";
        look.removeAttribute("aria-busy");
      }
    }
  }
  look.addEventListener("click", lookThrough);
  const box = h("div", { class: "stack" }, tabs, built, mine, h("div", { class: "row" }, look), found);
  return { box, value: () => name.value.trim(), fields: () => fieldsOf.value.trim(), mine: () => { pick("mine"); browse(""); } };
}
