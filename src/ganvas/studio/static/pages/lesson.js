// The live game: truth in red, the generator's points in blue, who is ahead, how far off. Everything may change while it plays.
import { address, post } from "../parts/api.js";
import { add, busy, fill, h, toast } from "../parts/dom.js";
import { slider } from "../parts/form.js";
import { plot } from "../parts/plot.js";
import { count } from "../parts/words.js";

const PATTERNS = ["sine", "square", "parabola", "sawtooth", "circle"];
const TYPICAL = 0.03, WORST = 0.06; // marks of the proof of five patterns
const KEPT = 1200;

export async function show(page) {
  const { id } = await post("lesson");
  const tell = (order) => post("lesson-tell", { id, ...order }).catch((error) => toast(error.message, true));
  const set = (values) => tell({ set: values });

  const wave = h("canvas", { class: "wave", width: 720, height: 720, tabindex: 0, role: "img", "aria-label": "The curve in red, the generator's points in blue. Press and move to draw your own curve." });
  const context = wave.getContext("2d");
  let real = [], fake = [], drawing = null, ready = false, reach = 1.35;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const x = (value) => ((value + reach) / (2 * reach)) * wave.width, y = (value) => ((reach - value) / (2 * reach)) * wave.height;

  function draw() {
    context.clearRect(0, 0, wave.width, wave.height);
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.beginPath();
    for (let k = -10; k <= 10; k++) {
      if (Math.abs(k) > reach) continue;
      context.moveTo(x(k), 0); context.lineTo(x(k), wave.height); context.moveTo(0, y(k)); context.lineTo(wave.width, y(k));
    }
    context.stroke();
    context.fillStyle = colour("--soft");
    context.font = "18px system-ui, sans-serif";
    for (const k of [-1, 0, 1]) { context.fillText(k, x(k) + 4, wave.height - 6); context.fillText(k, 4, y(k) - 4); }
    dots(real, "--real", 2.6);
    dots(fake, "--fake", 3.6);
    if (drawing) dots(drawing, "--third", 4);
  }
  function dots(points, name, size) {
    context.fillStyle = colour(name);
    for (const [a, b] of points) { context.beginPath(); context.arc(x(a), y(b), size, 0, 7); context.fill(); }
  }

  // Drawing: a press and a move make a curve of one's own.
  const place = (event) => {
    const rect = wave.getBoundingClientRect();
    return [((event.clientX - rect.left) / rect.width) * 2 * reach - reach, reach - ((event.clientY - rect.top) / rect.height) * 2 * reach].map((v) => Number(v.toFixed(3)));
  };
  wave.addEventListener("pointerdown", (event) => { wave.setPointerCapture(event.pointerId); drawing = [place(event)]; draw(); });
  wave.addEventListener("pointermove", (event) => { if (drawing && event.buttons) { drawing.push(place(event)); draw(); } });
  wave.addEventListener("pointerup", () => {
    const line = drawing;
    drawing = null;
    if (!line || line.length < 5) { draw(); return; }
    const few = line.filter((point, k) => k % Math.ceil(line.length / 1200) === 0);
    press("drawn");
    set({ pattern: "drawn", drawn: few, cycle: false });
    if (!playing) button.click();
  });

  // What plays
  let playing = false, closed = false, states = 0, since = performance.now(), rate = 0;
  const button = h("button", { type: "button", class: "main", id: "play" }, "Play");
  const step = h("button", { type: "button" }, "One round"), again = h("button", { type: "button" }, "Restart"), other = h("button", { type: "button" }, "Other seed");
  let seed = 1;
  button.addEventListener("click", () => { playing = !playing; button.textContent = playing ? "Pause" : "Play"; tell({ do: playing ? "play" : "pause" }); });
  step.addEventListener("click", () => { playing = false; button.textContent = "Play"; tell({ do: "step" }); });
  again.addEventListener("click", () => { clear(); tell({ do: "restart" }); });
  other.addEventListener("click", () => { seed += 1; clear(); set({ seed }); });

  const patterns = h("div", { class: "segment", role: "group", "aria-label": "What to learn" });
  const choices = [...PATTERNS.map((name) => [name, name]), ["cycle", "all five in turn"], ["drawn", "my own"]];
  for (const [name, words] of choices) {
    const made = h("button", { type: "button", data: { pattern: name }, "aria-pressed": String(name === "sine") }, words);
    made.addEventListener("click", () => {
      if (name === "drawn") { toast("press on the plot and draw a line"); wave.focus(); return; }
      press(name);
      set(name === "cycle" ? { pattern: "sine", cycle: true } : { pattern: name, cycle: false });
    });
    patterns.append(made);
  }
  function press(name) { for (const one of patterns.children) one.setAttribute("aria-pressed", String(one.dataset.pattern === name)); }

  const formula = h("input", { type: "text", value: "sin(3*x)*x;x=-1..1", "aria-label": "Formula in x", spellcheck: false });
  const take = h("button", { type: "button" }, "Learn it");
  take.addEventListener("click", () => { press("formula"); set({ pattern: "formula", formula: formula.value, cycle: false }); });

  const log = (name, value, words, key) => slider(words, { low: 1e-5, high: 5e-2, value, log: true }, (v) => set({ [key]: v }));
  const ranges = ["x_low", "x_high", "y_low", "y_high"].map((key) => {
    const input = h("input", { type: "number", step: 0.1, min: -3, max: 3, value: key.endsWith("low") ? -1 : 1, "aria-label": key.replace("_", " ") });
    input.addEventListener("change", () => {
      const values = Object.fromEntries(ranges.map((one) => [one.key, Number(one.value)]));
      reach = Math.max(1.35, 1.2 * Math.max(...Object.values(values).map(Math.abs)));
      set(values);
    });
    input.key = key;
    return input;
  });
  const controls = h("div", { class: "panel stack" }, h("h2", {}, "Rules, to change while it plays"),
    h("div", { class: "fields" },
      slider("rounds in a state", { low: 1, high: 30, step: 1, value: 5, help: "speed: more rounds, fewer states" }, (v) => set({ speed: v })),
      log("g", 1e-3, "generator's learning rate", "generator_rate"),
      log("d", 2.5e-4, "discriminator's learning rate", "discriminator_rate"),
      slider("generator's turns a round", { low: 0, high: 8, step: 1, value: 1 }, (v) => set({ generator_turns: v })),
      slider("discriminator's turns a round", { low: 0, high: 8, step: 1, value: 1 }, (v) => set({ discriminator_turns: v })),
      slider("noise on the truth", { low: 0, high: 0.3, step: 0.01, value: 0 }, (v) => set({ noise: v }))),
    h("h3", {}, "Range"), h("div", { class: "row" }, ["x from", "to", "y from", "to"].map((words, k) => { ranges[k].style.width = "84px"; return h("label", { class: "row" }, h("span", { class: "tiny" }, words), ranges[k]); })),
    h("p", { class: "soft tiny" }, "Another range is another curve: it has to learn again, and it will."),
    h("details", {}, h("summary", {}, "Networks (they begin anew)"), h("div", { class: "fields" },
      slider("units in a layer", { low: 4, high: 256, step: 4, value: 128 }, (v) => { clear(); set({ width: v }); }),
      slider("layers", { low: 1, high: 5, step: 1, value: 3 }, (v) => { clear(); set({ layers: v }); }),
      slider("numbers of noise", { low: 1, high: 16, step: 1, value: 2 }, (v) => { clear(); set({ latent: v }); }))));

  // Who is ahead, and how far off
  const losses = plot(["D on true", "D on made", "G"], { height: 150, says: "Losses of both players" });
  const right = plot(["D is right"], { low: 0, high: 1, height: 140, bands: [[0.1, 0.9]], says: "Share of points that the discriminator tells rightly, with the band from 10 to 90 percent" });
  const error = plot(["error", "mark"], { height: 150, low: 0, high: 0.3, says: "True error: distance of made points to the curve" });
  let series = [];
  function clear() { series = []; }
  const facts = h("div", { class: "numbers" }), mark = h("div", { class: "note" }, "Press play.");
  const proofs = {}, latest = {};
  let pace = 0;

  function take_state(state) {
    if (state.error) { toast(state.error, true); playing = false; button.textContent = "Play"; return; }
    states += 1;
    if (state.real) { real = state.real; reach = Math.max(1.35, 1.15 * Math.max(...real.flat().map(Math.abs))); }
    fake = state.fake;
    if (!ready) { ready = true; wave.dataset.ready = "1"; }
    const last = series[series.length - 1];
    if (last && state.round < last.round) clear();
    series.push(state);
    if (series.length > KEPT) series = series.filter((one, k) => k % 2 === 0);
    draw();
    const now = performance.now();
    if (now - since > 1000) { rate = (1000 * (states - pace)) / (now - since); pace = states; since = now; wave.dataset.rate = rate.toFixed(1); }
    wave.dataset.states = states;
    wave.dataset.error = state.error_value ?? "";
    wave.dataset.round = state.round;
    wave.dataset.pattern = state.pattern;
    if (state.proof !== undefined && state.proof !== null) {
      proofs[state.pattern] = Math.min(proofs[state.pattern] ?? 9, state.proof);
      latest[state.pattern] = state.proof;
      wave.dataset.proof = JSON.stringify(proofs);
      wave.dataset.last = JSON.stringify(latest);
      const good = state.proof <= TYPICAL;
      mark.className = good ? "note good" : "note";
      fill(mark, h("strong", {}, `${state.pattern}: error ${(100 * state.proof).toFixed(1)} % of the curve's size`), good ? ": learnt, by the mark of the proof (3 %)." : state.proof <= WORST ? ": nearly there (the mark is 3 %)." : ".");
    }
    if (!page.isConnected) return;
    if (states % 5 === 0 || !playing) curves(state);
  }
  function curves(state) {
    const terms = Object.keys(state.terms || {});
    const at = series.map((one) => one.round);
    const of = (end) => series.map((one) => { const key = terms.find((name) => name.endsWith(end)); return key ? one.terms?.[key] ?? null : null; });
    losses.show([at, of("/real"), of("/fake"), of("/fool")]);
    right.show([at, series.map((one) => one.accuracy)]);
    error.show([at, series.map((one) => (one.error_value ?? null)), at.map(() => TYPICAL)]);
    fill(facts, [["rounds", count(state.round)], ["D is right", `${Math.round(100 * state.accuracy)} %`], ["error now", `${(100 * (state.error_value ?? 0)).toFixed(1)} %`], ["states a second", rate.toFixed(0)]]
      .map(([words, value]) => h("div", {}, h("b", {}, value), h("span", {}, words))));
  }

  const stream = new EventSource(address("lesson-states", { id }));
  stream.onmessage = (event) => { if (!closed) take_state(JSON.parse(event.data)); };
  stream.onerror = () => { if (!closed && stream.readyState === EventSource.CLOSED) toast("the game has ended: reload the page", true); };
  document.getElementById("page").addEventListener("leave", () => { closed = true; stream.close(); for (const one of [losses, right, error]) one.end(); }, { once: true });
  document.addEventListener("theme", draw);

  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Two networks and a curve"), h("p", { class: "lead" }, "The generator draws the blue points and has never seen the red ones. It hears from the discriminator alone, which learns to tell blue from red.")),
      h("div", { class: "row" }, button, step, again, other)),
    patterns,
    h("div", { class: "row" }, grow(formula), take),
    h("div", { class: "cols even" },
      h("div", { class: "stack" }, wave, h("div", { class: "legend" }, h("span", {}, h("i", { class: "c-real" }), "truth"), h("span", {}, h("i", { class: "c-fake" }), "generator"), h("span", {}, "press and move to draw a curve of your own")), mark),
      h("div", { class: "stack" }, h("div", { class: "panel stack" }, facts, h("h3", {}, "D is right: between 10 and 90 % both learn"), right, h("h3", {}, "True error"), error, h("h3", {}, "Losses"), losses))),
    controls,
    h("section", { class: "panel stack" }, h("h2", {}, "Try this"), h("ul", {}, [
      "Give the discriminator no turns: the generator fools an opponent who never learns, and runs to wherever that one errs; the error grows. Give it one again, and watch them recover.",
      "Give it eight: a round takes longer, and still the blue points learn. This generator's loss keeps its slope where the discriminator is sure; the loss of the theory does not (see Vanishing gradients).",
      "Raise the generator's learning rate as far as it goes: the points jump about, and settle slowly when you turn it back.",
      "Choose the square: for a while only its upper or its lower half is drawn. This is mode collapse; the losses do not show it.",
      "Set one number of noise: a line is all that it can draw, and a line is all that a sine is.",
      "Draw a letter."].map((one) => h("li", {}, one)))),
  ]);
  draw();
}

function grow(element) { element.style.flex = "1 1 260px"; element.style.width = "auto"; return element; }
