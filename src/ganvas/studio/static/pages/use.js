// Put a run to use. The page is made from what the run's system offers; it knows no system and no use by name.
import { address, get, post } from "../parts/api.js";
import { add, busy, fill, h, toast } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { field, slider } from "../parts/form.js";
import { give } from "../parts/give.js";
import { results } from "../parts/results.js";
import { clock, label } from "../parts/words.js";
import { link } from "../app.js";

export async function show(page, { name, verb, checkpoint }) {
  const head = h("div", { class: "head" }, h("div", {}, h("h1", {}, `Use ${name}`), h("p", { class: "lead" }, "Opening the run …")));
  add(page, [head]);
  const found = await get("uses", { name, checkpoint });
  fill(head, h("div", {}, h("h1", {}, `Use ${name}`), h("p", { class: "lead" }, `${found.title}; it makes ${found.makes}.`)),
    h("div", { class: "row" }, h("a", { class: "button", href: link("run", { name }) }, "Its training"), h("a", { class: "button", href: link("trust", { name }) }, "Can I trust it?")));
  const body = h("div", { class: "stack" });
  const tabs = h("div", { class: "segment", role: "group", "aria-label": "What to do" });
  for (const use of found.uses) {
    const button = h("button", { type: "button", data: { verb: use.verb }, "aria-pressed": "false" }, use.verb[0].toUpperCase() + use.verb.slice(1));
    button.addEventListener("click", () => open(use));
    tabs.append(button);
  }
  const held = new Map();
  function open(use) {
    for (const one of tabs.children) one.setAttribute("aria-pressed", String(one.dataset.verb === use.verb));
    if (!held.has(use.verb)) held.set(use.verb, useOf(name, use, found, checkpoint));
    fill(body, held.get(use.verb));
  }
  add(page, [found.uses.length > 1 ? tabs : null, ...(found.notes || []).map((note) => h("div", { class: "note warn" }, note)), body]);
  if (!found.uses.length) fill(body, h("div", { class: "empty" }, "This run can be put to no use."));
  else open(found.uses.find((use) => use.verb === verb) || found.uses[0]);
}

function useOf(run, use, found, checkpoint) {
  const options = use.options.filter((item) => !item.hidden).map((item) => [item, option(item)]);
  const of = (first) => options.filter(([item]) => item.first === first && !item.later).map(([, part]) => part);
  const later = found.later.map((item) => [item, field(item)]);
  const first = use.first && use.able ? give(use.first, run, { several: true }) : null;
  const others = use.fields.map((one) => [one, give(one, run)]);
  const seed = h("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": "Seed of the noise" });
  const next = h("button", { type: "button" }, "Other noise");
  const format = found.formats.length && use.makes ? h("select", { "aria-label": "Format of the files" }, h("option", { value: "" }, "the data's own"), found.formats.map((one) => h("option", { value: one }, one))) : null;
  const made = h("div", { class: "stack", role: "region", "aria-label": "Results" }), line = command(use.example.replace("RUN", found.folder));
  const hint = h("p", { class: "soft" }, "What is made appears here.");
  const begin = h("button", { type: "button", class: "main", data: { verb: use.verb } }, use.verb[0].toUpperCase() + use.verb.slice(1));

  async function values() {
    const inputs = first ? (await first.given()).uploads || [] : [];
    if (first && !inputs.length) throw new Error(`give ${use.first.name} first: ${use.first.ways.join(" or ")}`);
    const fields = {};
    for (const [one, part] of others) {
      const given = await part.given();
      if (given.words) fields[one.name] = { words: given.words };
      else if (given.uploads?.length) fields[one.name] = { upload: given.uploads[0] };
      else if (one.must) throw new Error(`give ${one.name}: it is needed to ${use.verb}`);
    }
    const chosen = Object.fromEntries(options.map(([item, part]) => [item.name, part.value()]).filter(([, value]) => value !== undefined && !(Array.isArray(value) && !value.length)));
    if (format?.value) chosen.format = format.value;
    return { run, verb: use.verb, inputs, fields, options: chosen, seed: Number(seed.value) || 0, checkpoint,
      config: Object.fromEntries(later.map(([item, part]) => [item.name, part.value()]).filter(([, value]) => value !== undefined)) };
  }
  async function work(change = {}) {
    const sent = { ...(await values()), ...change };
    const told = await post("use", sent);
    line.say(told.line);
    hint.remove();
    fill(made, h("div", { class: "row between" }, h("h2", {}, `${told.count ?? told.inputs ?? ""} ${use.done}`),
      h("a", { class: "button", href: address("zip", { made: told.made }), download: "" }, "Download all (zip)")), results(told, use));
    return told;
  }
  begin.addEventListener("click", () => busy(begin, async () => {
    const began = Date.now(), tell = () => { begin.textContent = `Working, ${clock((Date.now() - began) / 1000)} …`; };
    tell();
    const ticking = setInterval(tell, 1000);
    try { await work(); } finally { clearInterval(ticking); }
  }));
  next.addEventListener("click", () => { seed.value = Number(seed.value) + 1; begin.click(); });
  const walk = walkPart(use, options, values, made);
  const moreOptions = of(false);
  return h("div", { class: "cols use" },
    h("section", { class: "panel stack" },
      h("p", { class: "soft" }, `For ${use.purpose}.`),
      use.why ? h("div", { class: "note warn" }, use.why) : null,
      first, others.map(([one, part]) => (one.must || one.ways[0] === "words" ? part : h("details", {}, h("summary", {}, `${one.name}, if you like`), part))), of(true),
      later.length ? h("div", { class: "fields" }, later.map(([, part]) => part)) : null,
      moreOptions.length || format ? h("details", {}, h("summary", {}, "More"), h("div", { class: "fields" }, moreOptions, format ? h("label", { class: "field" }, h("span", { class: "name" }, "format"), format) : null)) : null,
      h("div", { class: "row" }, h("label", { class: "row" }, h("span", { class: "tiny" }, "seed"), small(seed)), use.first ? null : next),
      h("div", { class: "row" }, begin, walk),
      use.caution ? h("p", { class: "soft tiny" }, use.caution) : null),
    h("section", { class: "panel stack" }, hint, made, line));
}

function small(input) {
  input.style.width = "90px";
  return input;
}

// An option as one field; options that are NAME=VALUE have a slider or a choice for each name.
function option(item) {
  if (!item.named) return field(item, item.name === "count" ? item.default : undefined);
  const parts = item.named.map((one) => {
    if (one.values) {
      const select = h("select", { "aria-label": one.name }, h("option", { value: "" }, "as it comes"), one.values.map((value) => h("option", { value }, value)));
      const made = h("label", { class: "field" }, h("span", { class: "name tiny" }, label(one.name)), select);
      made.word = () => (select.value === "" ? undefined : `${one.name}=${select.value}`);
      return made;
    }
    let moved = false;
    const made = slider(one.name, { low: one.low, high: one.high, step: one.whole ? 1 : 0.1, value: one.usual }, () => { moved = true; });
    made.slides = one;
    made.word = () => (moved && made.value() !== (item.name === "move" ? 0 : NaN) ? `${one.name}=${Number(made.value().toFixed(2))}` : undefined);
    return made;
  });
  const box = h("details", { open: item.named.length <= 8 && item.name !== "move" }, h("summary", {}, label(item.name)), h("div", { class: "fields" }, parts), h("p", { class: "soft tiny" }, item.help.replace(/^NAME=[A-Z]+: /, "")));
  box.value = () => parts.map((part) => part.word()).filter((word) => word !== undefined);
  box.slides = parts.filter((part) => part.slides).map((part) => part.slides);
  return box;
}

// A walk: the same noise, one property moved step by step, shown as an animation.
function walkPart(use, options, values, made) {
  const entry = options.find(([item]) => item.name === "move" && item.named);
  if (!entry || use.first) return null;
  const choice = h("select", { "aria-label": "Property to walk along" }, entry[0].named.map((one) => h("option", { value: one.name }, one.name)));
  choice.style.width = "auto";
  const button = h("button", { type: "button" }, "Walk");
  button.addEventListener("click", () => busy(button, async () => {
    const base = await values(), frames = [];
    const image = h("img", { class: "sample", alt: "A walk through the latent space" }), told = h("span", { class: "soft tiny", role: "status" });
    const fewer = { ...base.options, count: Math.min(16, base.options.count || 16) };
    delete fewer.format;
    for (let step = -4; step <= 4; step++) {
      button.textContent = `Walking, ${step + 5} of 9 …`;
      const found = await post("use", { ...base, options: { ...fewer, move: [`${choice.value}=${step / 2}`] } });
      frames.push([address("made-file", { made: found.made, file: "grid.png" }), `${choice.value} ${step > 0 ? "+" : ""}${step / 2}`]);
    }
    const range = h("input", { type: "range", min: 0, max: frames.length - 1, value: 4, "aria-label": "Step of the walk" });
    const play = h("button", { type: "button" }, "Stop");
    let at = 4, by = 1, timer = null;
    const draw = () => { image.src = frames[at][0]; told.textContent = frames[at][1]; range.value = at; };
    const tick = () => { if (!image.isConnected) { clearInterval(timer); return; } if (at + by < 0 || at + by >= frames.length) by = -by; at += by; draw(); };
    const start = () => { timer = setInterval(tick, 350); play.textContent = "Stop"; };
    play.addEventListener("click", () => { if (timer) { clearInterval(timer); timer = null; play.textContent = "Play"; } else start(); });
    range.addEventListener("input", () => { at = Number(range.value); draw(); });
    fill(made, h("div", { class: "row between" }, h("h2", {}, "A walk"), told), image, range, h("div", { class: "row" }, play));
    draw();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) play.textContent = "Play"; else start();
  }).catch((error) => toast(error.message, true)));
  return h("span", { class: "row" }, button, h("span", { class: "tiny" }, "along"), choice);
}
