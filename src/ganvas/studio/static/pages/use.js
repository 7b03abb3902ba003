// Put a run to use. The page is made from what the run's system offers; it knows no system and no use by name.
import { address, get, post } from "../parts/api.js";
import { add, busy, fill, h } from "../parts/dom.js";
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
  else open(found.uses.find((use) => use.verb === (verb || found.lead)) || found.uses[0]);
}

function useOf(run, use, found, checkpoint) {
  const options = use.options.filter((item) => !item.hidden).map((item) => [item, option(item)]);
  const of = (first) => options.filter(([item]) => item.first === first && !item.later).map(([, part]) => part);
  const later = found.later.map((item) => [item, field(item)]);
  const asked = { run, verb: use.verb };
  const first = use.first && use.able ? give(use.first, asked, { several: true }) : null;
  const others = use.fields.map((one) => [one, give(one, asked, { several: one.several, beneath: one.over ? first : null })]);
  const seed = h("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": "Seed of the noise" });
  const next = h("button", { type: "button" }, "Other noise");
  const format = found.formats.length && use.makes ? h("select", { "aria-label": "Format of the files" }, h("option", { value: "" }, "the data's own"), found.formats.map((one) => h("option", { value: one }, one))) : null;
  const made = h("div", { class: "stack", role: "region", "aria-label": "Results" }), line = command(use.example.replace("RUN", found.folder));
  const goesOn = first && use.again && use.first.ways.includes("file"); // what was made may be worked on again
  const hint = h("p", { class: "soft" }, "What is made appears here.");
  const begin = h("button", { type: "button", class: "main", data: { verb: use.verb } }, use.verb[0].toUpperCase() + use.verb.slice(1));

  async function values() {
    let inputs = first ? (await first.given()).uploads || [] : [];
    for (const [, part] of others) if (part.painted()) inputs = [part.painted().id];
    if (first && !inputs.length) throw new Error(`give ${use.first.title} first: ${use.first.ways.join(" or ")}`);
    const fields = {};
    for (const [one, part] of others) {
      const given = await part.given();
      if (given.words) fields[one.name] = { words: given.words };
      else if (given.uploads?.length) fields[one.name] = { uploads: given.uploads };
      else if (one.must) throw new Error(`give ${one.title}: it is needed to ${use.verb}`);
    }
    const chosen = Object.fromEntries(options.map(([item, part]) => [item.name, part.value()]).filter(([, value]) => value !== undefined && !(Array.isArray(value) && !value.length)));
    if (format?.value) chosen.format = format.value;
    return { run, verb: use.verb, inputs, fields, options: chosen, seed: Number(seed.value) || 0, checkpoint,
      config: Object.fromEntries(later.map(([item, part]) => [item.name, part.value()]).filter(([, value]) => value !== undefined)) };
  }
  async function work(change = {}) {
    const sent = { ...(await values()), ...change };
    const told = await post("use", sent);
    // How a brush's own file was read says nothing to who moved the brush.
    const brushed = others.filter(([, part]) => part.painted()).map(([one]) => `${one.name}.png: `);
    told.notes = (told.notes || []).filter((note) => !brushed.some((start) => note.startsWith(start)));
    line.say(told.line);
    hint.remove();
    fill(made, h("div", { class: "row between" }, h("h2", {}, `${told.count ?? told.inputs ?? ""} ${use.done}`),
      h("a", { class: "button", href: address("zip", { made: told.made }), download: "" }, "Download all (zip)")), results(told, use, goesOn ? (files) => first.take(files) : null));
    if (matchMedia("(max-width: 900px)").matches) made.scrollIntoView({ block: "nearest" });
    return told;
  }
  begin.addEventListener("click", () => busy(begin, async () => {
    const began = Date.now(), tell = () => { begin.textContent = `Working, ${clock((Date.now() - began) / 1000)} …`; };
    tell();
    const ticking = setInterval(tell, 1000);
    try { await work(); } finally { clearInterval(ticking); }
  }));
  next.addEventListener("click", () => { seed.value = Number(seed.value) + 1; begin.click(); });
  const walk = walkPart(use, options, values, (told, ...parts) => { line.say(told); hint.remove(); fill(made, parts); });
  const moreOptions = of(false);
  return h("div", { class: "cols use" },
    h("section", { class: "panel stack" },
      h("p", { class: "soft" }, `For ${use.purpose}.`),
      use.why ? h("div", { class: "note warn" }, use.why) : null,
      first, others.map(([one, part]) => (one.aside && !one.over && one.ways[0] !== "words" ? h("details", {}, h("summary", {}, `${one.title}, if you like`), part) : part)), of(true),
      later.length ? h("details", { open: later.length < 3 }, h("summary", {}, "How it works on them"), h("div", { class: "fields" }, later.map(([, part]) => part))) : null,
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

// A walk: the same noise, one property moved step by step: an animation, or, of what is listened to, a player for each step.
const STEPS = [-4, -3, -2, -1, 0, 1, 2, 3, 4]; // of half a standard deviation
const AT_ONCE = 16; // records of a frame

// What the run learnt with is asked for, all else held; other properties are directions of the latents.
function walkPart(use, options, values, show) {
  const named = (name) => options.find(([item]) => item.name === name)?.[0].named || [];
  const asked = options.some(([item]) => item.name === "sweep") ? named("set_attribute").filter((one) => !one.values).map((one) => one.name) : [];
  const names = [...asked, ...named("move").map((one) => one.name).filter((name) => !asked.includes(name))];
  if (!names.length || use.first) return null;
  const choice = h("select", { "aria-label": "Property to walk along" }, names.map((name) => h("option", { value: name }, name)));
  choice.style.width = "auto";
  const button = h("button", { type: "button" }, "Walk");
  button.addEventListener("click", () => busy(button, async () => {
    const base = await values(), along = choice.value;
    const { format, ...kept } = base.options;
    const told = (step) => `${along} ${step > 0 ? "+" : ""}${step / 2} sd`;
    const players = (steps) => h("div", { class: "results sounds" }, steps.map(([found, shown], k) => results({ made: found.made, shown: [{ ...shown, label: told(STEPS[k]) }] }, use)));
    if (asked.includes(along)) {
      button.textContent = "Walking …";
      const others = (kept.set_attribute || []).filter((word) => !word.startsWith(`${along}=`));
      const found = await post("use", { ...base, options: { ...kept, count: 1, set_attribute: others, sweep: `${along}=${STEPS[0] / 2}..${STEPS.at(-1) / 2}:${STEPS.length}` } });
      const steps = found.shown.filter((one) => one.sound);
      show(found.line, h("div", { class: "row between" }, h("h2", {}, "A walk"), h("a", { class: "button", href: address("zip", { made: found.made }), download: "" }, "Download all (zip)")),
        steps.length === STEPS.length ? players(steps.map((one) => [found, one])) : results({ ...found, notes: [] }, use),
        (found.notes || []).map((note) => h("div", { class: "note" }, note)));
      return;
    }
    const draw = (step, count, bare) => {
      button.textContent = `Walking, ${STEPS.indexOf(step) + 1} of ${STEPS.length} …`;
      return post("use", { ...base, bare, options: { ...kept, count, move: [`${along}=${step / 2}`] } });
    };
    const first = await draw(STEPS[0], 1, false);
    if (first.shown.some((one) => one.sound)) {
      const found = [first];
      for (const step of STEPS.slice(1)) found.push(await draw(step, 1, false));
      show(first.line, h("h2", {}, "A walk"), players(found.map((one) => [one, one.shown[0]])));
      return;
    }
    const frames = [];
    let line = "";
    for (const step of STEPS) {
      const found = await draw(step, Math.min(AT_ONCE, base.options.count || AT_ONCE), true);
      frames.push([found.made, told(step)]);
      line ||= found.line;
    }
    show(line, flipbook(frames));
  }));
  return h("span", { class: "row" }, button, h("span", { class: "tiny" }, "along"), choice);
}

// frames: [[number of the results, words]]. There and back, by itself or by hand; kept as a GIF.
function flipbook(frames) {
  const image = h("img", { class: "sample", alt: "A walk through the latent space" }), told = h("span", { class: "soft tiny", role: "status" });
  const range = h("input", { type: "range", min: 0, max: frames.length - 1, "aria-label": "Step of the walk" });
  const play = h("button", { type: "button" }, "Play"), keep = h("button", { type: "button" }, "Keep as GIF");
  let at = frames.length >> 1, by = 1, timer = null;
  const draw = () => { image.src = address("made-file", { made: frames[at][0], file: "grid.png" }); told.textContent = frames[at][1]; range.value = at; };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const tick = () => { if (!image.isConnected) { stop(); return; } if (at + by < 0 || at + by >= frames.length) by = -by; at += by; draw(); };
  const start = () => { timer = setInterval(tick, 350); play.textContent = "Stop"; };
  play.addEventListener("click", () => { if (timer) stop(); else start(); });
  range.addEventListener("input", () => { at = Number(range.value); draw(); });
  keep.addEventListener("click", () => busy(keep, async () => {
    const kept = await post("animation", { made: frames.map(([number]) => number) });
    const anchor = h("a", { href: address("made-file", kept), download: kept.file });
    anchor.click();
  }));
  draw();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) start();
  return h("div", { class: "stack" }, h("div", { class: "row between" }, h("h2", {}, "A walk"), told), image, range, h("div", { class: "row" }, play, keep));
}
