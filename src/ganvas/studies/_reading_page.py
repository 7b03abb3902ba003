"""The page of a blinded reading: one HTML document that needs no network and holds no truth. Not for scoring."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def build_page(facts: Mapping[str, Any], pictures: Sequence[tuple[str, bytes]]) -> str:
    """The page.

    facts: study, title, format, width, height, repeat (share shown twice), back (whether answers can be taken back): all
    that a reader may know. pictures: (id, PNG bytes), in an order that says nothing.
    """
    shown = [{"id": name, "src": f"data:image/png;base64,{base64.b64encode(data).decode()}"} for name, data in pictures]
    study = json.dumps({**facts, "images": shown}, ensure_ascii=True).replace("<", "\\u003c")
    filled = {"%TITLE%": html.escape(str(facts["title"])), "%STUDY%": study}
    return re.sub("|".join(filled), lambda found: filled[found[0]], _PAGE)


_PAGE = r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'">
<title>%TITLE%</title>
<style>
  :root { color-scheme: dark; --back: #08090b; --panel: #14171b; --line: #343a42; --text: #d9dee4; --soft: #9aa4af;
    --accent: #7fb2e5; --real: #2c6e5b; --synthetic: #6f4a8e; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  html, body { height: 100%; margin: 0; }
  body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
  h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 .75rem; }
  h2 { font-size: 1rem; font-weight: 600; margin: 1.25rem 0 .25rem; }
  h1:focus { outline: none; }
  p, li { max-width: 68ch; }
  ul { padding-left: 1.2rem; margin: .25rem 0; }
  .sheet { max-width: 46rem; margin: 0 auto; padding: clamp(1rem, 5vh, 3.5rem) 1.25rem; }
  .soft { color: var(--soft); }
  .notice { border-left: 3px solid #d9a441; padding: .25rem .75rem; background: #221c10; }
  button, input, select, textarea { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
    border-radius: 6px; padding: .5rem .8rem; }
  button { min-height: 44px; cursor: pointer; touch-action: manipulation; }
  button:hover { border-color: var(--soft); }
  button:disabled { opacity: .45; cursor: default; }
  button.main { background: #1f4e79; border-color: #3f78ab; font-weight: 600; padding: .6rem 1.4rem; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  form { display: grid; gap: 1rem; margin-top: 1.25rem; }
  label.field { display: grid; gap: .25rem; max-width: 26rem; }
  kbd { font: .8rem/1 ui-monospace, Consolas, monospace; border: 1px solid var(--line); border-radius: 4px;
    padding: .1rem .35rem; background: #0d0f12; color: var(--soft); }
  #read { height: 100dvh; display: flex; flex-direction: column; }
  #top { display: flex; align-items: center; gap: .75rem; padding: .4rem .75rem; }
  #top button { min-height: 36px; padding: .2rem .8rem; }
  #bar { flex: 1; height: 4px; background: var(--panel); border-radius: 2px; overflow: hidden; }
  #bar div { height: 100%; width: 0; background: var(--accent); }
  #stage { flex: 1; min-height: 120px; position: relative; background: #000; }
  #picture { position: absolute; left: 50%; top: 50%; transform: translate(-50%, -50%); user-select: none;
    -webkit-user-drag: none; }
  #picture.pixelated { image-rendering: pixelated; }
  #controls { padding: .5rem .75rem .6rem; display: grid; gap: .5rem; justify-items: center; }
  #answers { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; width: 100%; max-width: 60rem; }
  kbd:empty { visibility: hidden; }
  fieldset { border: 0; padding: 0; margin: 0; min-width: 0; }
  legend { font-weight: 600; padding: 0; margin-bottom: .25rem; }
  .choices { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem; }
  .choices button { padding: .35rem .25rem; min-height: 52px; line-height: 1.2; display: flex; flex-direction: column;
    align-items: center; justify-content: center; gap: .2rem; }
  #real button { background: #10261f; border-color: var(--real); }
  #synthetic button { background: #21172a; border-color: var(--synthetic); }
  #answers .chosen button { border-color: #fff; }
  [aria-pressed=true] { background: #24435f; border-color: var(--accent); color: var(--text); }
  fieldset.passed { opacity: .35; }
  #display { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; justify-content: center; font-size: .85rem;
    color: var(--soft); }
  #display label { display: flex; align-items: center; gap: .4rem; }
  #display input[type=range] { width: 8.5rem; padding: 0; accent-color: var(--accent); }
  #display button { min-height: 36px; padding: .1rem .7rem; }
  #keys { font-size: .8rem; color: var(--soft); text-align: center; margin: 0; max-width: none; }
  textarea { width: 100%; height: 12rem; font: .8rem/1.4 ui-monospace, Consolas, monospace; }
  ::placeholder { color: var(--soft); }
  .row { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; align-items: center; }
  @media (max-width: 40rem) {
    #answers { gap: .5rem; } .choices { gap: .25rem; } .choices button { font-size: .8rem; }
    #display input[type=range] { width: 6rem; }
  }
  @media (hover: none) and (pointer: coarse) { .keyboard { display: none; } }
</style>
</head>
<body>

<main id="start" class="sheet">
  <h1 tabindex="-1">%TITLE%</h1>
  <p>You will see <span id="total"></span> images, one at a time. Some are real, some were made by a computer program;
    how many of each is not told. For each image, say whether it is <strong>real</strong> or <strong>synthetic</strong>, and how
    sure you are. A few images come twice.</p>
  <ul>
    <li id="no-return">An answer is final: there is no way back.</li>
    <li>Take the time you would take at work. Pause whenever you like; the clock stops.</li>
    <li>Read on a good screen in a dimmed room. Brightness and contrast can be changed below every image.</li>
    <li>Please do not look at the images outside this page, and do not talk about them before all readers are done.</li>
  </ul>
  <p id="forgetful" class="notice" hidden>This browser does not keep your progress. Finish in one sitting, and do not close
    or reload the page before you have saved your answers.</p>
  <form id="enter">
    <label class="field">Your name or code
      <input id="code" required maxlength="40" autocomplete="off" spellcheck="false" aria-describedby="about-code">
      <span id="about-code" class="soft">Stored with your answers. To go on after a break, enter the same again.</span>
    </label>
    <label class="field">Your experience
      <select id="experience" required>
        <option value="">Choose ...</option>
        <option>radiologist</option><option>radiologist in training</option><option>other physician</option>
        <option>radiographer</option><option>scientist or engineer</option><option>student</option><option>other</option>
      </select>
    </label>
    <label class="field">Years of experience with such images
      <input id="years" type="number" min="0" max="70" step="1" inputmode="numeric" placeholder="optional">
    </label>
    <div><button class="main">Begin</button></div>
  </form>
  <div class="keyboard">
    <h2>Keyboard</h2>
    <p><kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> real: sure, probable, a guess &ensp; <kbd>4</kbd> <kbd>5</kbd> <kbd>6</kbd>
      synthetic: a guess, probable, sure.<br>
      Or <kbd>R</kbd> real, <kbd>S</kbd> synthetic, and then <kbd>1</kbd> a guess, <kbd>2</kbd> probable, <kbd>3</kbd> sure.</p>
  </div>
  <p class="soft">This page works without a network and sends nothing. Not for diagnosis.</p>
</main>

<main id="read" hidden aria-label="Reading">
  <div id="top">
    <span id="place" role="status"></span>
    <div id="bar" role="progressbar" aria-label="Progress" aria-valuemin="0"><div></div></div>
    <button id="undo" type="button" hidden>Back</button>
    <button id="rest" type="button">Pause <kbd class="keyboard">P</kbd></button>
  </div>
  <div id="stage"><img id="picture" alt="The image to judge" draggable="false"></div>
  <div id="controls">
    <div id="answers">
      <fieldset id="real"><legend>Real</legend><div class="choices">
        <button type="button" data-answer="real" data-confidence="3">sure<kbd class="keyboard">1</kbd></button>
        <button type="button" data-answer="real" data-confidence="2">probable<kbd class="keyboard">2</kbd></button>
        <button type="button" data-answer="real" data-confidence="1">a guess<kbd class="keyboard">3</kbd></button>
      </div></fieldset>
      <fieldset id="synthetic"><legend>Synthetic</legend><div class="choices">
        <button type="button" data-answer="synthetic" data-confidence="1">a guess<kbd class="keyboard">4</kbd></button>
        <button type="button" data-answer="synthetic" data-confidence="2">probable<kbd class="keyboard">5</kbd></button>
        <button type="button" data-answer="synthetic" data-confidence="3">sure<kbd class="keyboard">6</kbd></button>
      </div></fieldset>
    </div>
    <div id="display">
      <label>Brightness <input id="brightness" type="range" min="20" max="300" value="100"></label>
      <label>Contrast <input id="contrast" type="range" min="20" max="400" value="100"></label>
      <button id="scaling" type="button" aria-pressed="false">Show pixels</button>
      <button id="invert" type="button" aria-pressed="false">Invert</button>
      <button id="reset" type="button">Reset</button>
    </div>
    <p id="keys" class="keyboard"><kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> real &ensp; <kbd>4</kbd> <kbd>5</kbd> <kbd>6</kbd>
      synthetic &ensp; or <kbd>R</kbd> / <kbd>S</kbd>, then <kbd>1</kbd> guess <kbd>2</kbd> probable <kbd>3</kbd> sure
      &ensp; <kbd>X</kbd> pixels &ensp; <kbd>I</kbd> invert &ensp; <kbd>0</kbd> reset &ensp; <kbd>P</kbd> pause</p>
  </div>
</main>

<main id="pause" class="sheet" hidden>
  <h1 tabindex="-1">Pause</h1>
  <p><span id="done"></span> The clock has stopped.</p>
  <p class="soft" id="kept">Your answers are kept in this browser, on this computer. You may close the page; to go on, open it
    here again and enter the same name or code.</p>
  <div class="row"><button id="resume" class="main" type="button">Go on</button>
    <button id="save-part" type="button">Save the answers so far</button></div>
</main>

<main id="end" class="sheet" hidden>
  <h1 tabindex="-1">Thank you: that was the last image</h1>
  <p>Save your answers and send the file to the person who gave you this page. How well you did is not shown here: this page
    does not know it.</p>
  <div class="row"><button id="save" class="main" type="button">Save answers</button>
    <button id="copy" type="button">Copy as text</button><span id="copied" role="status" class="soft"></span></div>
  <h2><label for="text">If saving is not possible, send this text</label></h2>
  <textarea id="text" readonly spellcheck="false"></textarea>
  <div class="row"><button id="another" type="button">Another reader</button></div>
</main>

<script type="application/json" id="study">%STUDY%</script>
<script>
"use strict";
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const at = (name) => document.getElementById(name);
  const GUARD = 250; // milliseconds in which a second press cannot answer an image hardly seen
  let store = null, state = null, order = [], since = null, shownAt = Infinity, chosen = null;

  try { store = window.localStorage; store.setItem("probe", "1"); store.removeItem("probe"); } catch { store = null; }

  // Random numbers that depend on the text alone: FNV-1a into mulberry32.
  function randomFrom(text) {
    let a = 2166136261;
    for (const c of new TextEncoder().encode(text)) a = Math.imul(a ^ c, 16777619);
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // Every image once in the reader's own order; some of the first half again, at least a third of the reading later.
  function orderFor(reader) {
    const random = randomFrom(study.study + "/" + reader.toLowerCase());
    const n = study.images.length;
    const shuffle = (list) => {
      for (let i = list.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [list[i], list[j]] = [list[j], list[i]];
      }
      return list;
    };
    const first = shuffle(study.images.map((_, i) => i));
    const showings = first.map((image, place) => ({ image, showing: 1, place }));
    const again = shuffle(first.slice(0, Math.floor(n / 2)).map((_, i) => i)).slice(0, Math.round(n * study.repeat));
    for (const i of again) showings.push({ image: first[i], showing: 2, place: i + n / 3 + random() * (n * 2 / 3 - i) });
    return showings.sort((a, b) => a.place - b.place);
  }

  const keyOf = (reader) => "ganvas-reading/" + study.study + "/" + encodeURIComponent(reader.toLowerCase());

  function keep() {
    if (!store || !state) return;
    try {
      store.setItem(keyOf(state.reader), JSON.stringify(state));
      store.setItem("ganvas-reading/" + study.study, state.reader);
    } catch { store = null; at("forgetful").hidden = false; }
  }

  function recall(reader) {
    try {
      const found = JSON.parse(store.getItem(keyOf(reader)));
      return found && Array.isArray(found.answers) ? found : null;
    } catch { return null; }
  }

  function go(name) {
    for (const section of document.querySelectorAll("main")) section.hidden = section.id !== name;
    const heading = at(name).querySelector("h1");
    if (heading) heading.focus();
    window.scrollTo(0, 0);
  }

  const running = () => since !== null;
  function startClock() { if (!running()) since = performance.now(); }
  function stopClock() {
    if (!running()) return;
    state.spent += performance.now() - since;
    since = null;
  }

  function show() {
    const done = state.answers.length;
    if (done >= order.length) return finish();
    const image = study.images[order[done].image];
    const picture = at("picture");
    choose(null);
    shownAt = Infinity;
    picture.style.visibility = "hidden"; // the one before must not stand there for a moment
    picture.src = image.src;
    go("read");
    at("place").textContent = `${done + 1} of ${order.length}`;
    at("bar").setAttribute("aria-valuenow", done);
    at("bar").setAttribute("aria-valuemax", order.length);
    at("bar").firstElementChild.style.width = `${(100 * done) / order.length}%`;
    at("undo").hidden = !study.back || done === 0;
    fit();
    picture.decode().catch(() => {}).then(() => {
      picture.style.visibility = "visible";
      shownAt = performance.now();
      if (!at("read").hidden && !document.hidden) startClock();
    });
  }

  // As large as the stage allows, the same for every image; all images have the same number of pixels.
  function fit() {
    const stage = at("stage").getBoundingClientRect();
    const scale = Math.min((stage.width - 16) / study.width, (stage.height - 16) / study.height, 1000 / study.height);
    at("picture").style.width = `${Math.max(1, Math.floor(study.width * scale))}px`;
    at("picture").style.height = `${Math.max(1, Math.floor(study.height * scale))}px`;
  }

  function answer(verdict, confidence) {
    if (at("read").hidden || performance.now() - shownAt < GUARD || !running()) return;
    stopClock();
    const { image, showing } = order[state.answers.length];
    state.answers.push({ id: study.images[image].id, showing, answer: verdict, confidence,
      seconds: Math.round(state.spent) / 1000 });
    state.spent = 0;
    if (document.activeElement) document.activeElement.blur();
    if (state.answers.length >= order.length) state.finished = new Date().toISOString();
    keep();
    show();
  }

  function choose(verdict) {
    chosen = verdict;
    for (const name of ["real", "synthetic"]) {
      at(name).classList.toggle("chosen", chosen === name);
      at(name).classList.toggle("passed", chosen !== null && chosen !== name);
    }
    for (const button of document.querySelectorAll("[data-answer]")) { // the key that gives this answer now
      const sure = Number(button.dataset.confidence);
      const key = button.dataset.answer === "real" ? 4 - sure : 3 + sure;
      button.lastElementChild.textContent = chosen === null ? key : chosen === button.dataset.answer ? sure : "";
    }
  }

  function pause() {
    stopClock();
    keep();
    at("done").textContent = `${state.answers.length} of ${order.length} images are answered.`;
    at("kept").hidden = store === null;
    go("pause");
  }

  function report() {
    return JSON.stringify({ format: study.format, study: study.study, reader: state.reader, experience: state.experience,
      started: state.started, finished: state.finished, asked: order.length,
      answers: state.answers }, null, 1);
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([report()], { type: "application/json" }));
    link.download = `answers-${state.reader.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.json`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function finish() {
    at("text").value = report();
    at("copied").textContent = "";
    go("end");
  }

  function display() {
    const invert = at("invert").getAttribute("aria-pressed") === "true" ? "invert(1) " : "";
    at("picture").style.filter = `${invert}brightness(${at("brightness").value}%) contrast(${at("contrast").value}%)`;
    at("picture").classList.toggle("pixelated", at("scaling").getAttribute("aria-pressed") === "true");
  }

  function press(name) {
    at(name).setAttribute("aria-pressed", at(name).getAttribute("aria-pressed") !== "true");
    display();
  }

  function reset() {
    at("brightness").value = at("contrast").value = 100;
    for (const name of ["scaling", "invert"]) at(name).setAttribute("aria-pressed", "false");
    display();
  }

  at("enter").addEventListener("submit", (event) => {
    event.preventDefault();
    const reader = at("code").value.trim();
    if (!reader) return at("code").focus();
    const years = at("years").value.trim();
    state = (store && recall(reader)) || { reader, experience: at("experience").value + (years ? `, ${years} years` : ""),
      started: new Date().toISOString(), finished: null, spent: 0, answers: [] };
    order = orderFor(state.reader);
    keep();
    show();
  });
  for (const button of document.querySelectorAll("[data-answer]"))
    button.addEventListener("click", () => answer(button.dataset.answer, Number(button.dataset.confidence)));
  at("undo").addEventListener("click", () => {
    stopClock();
    state.spent = 1000 * state.answers.pop().seconds;
    keep();
    show();
  });
  at("rest").addEventListener("click", pause);
  at("resume").addEventListener("click", show);
  at("save").addEventListener("click", save);
  at("save-part").addEventListener("click", save);
  at("copy").addEventListener("click", async () => {
    at("text").select();
    let done = true;
    try { await navigator.clipboard.writeText(at("text").value); } catch { done = document.execCommand("copy"); }
    at("copied").textContent = done ? "Copied." : "Select the text and copy it.";
  });
  at("another").addEventListener("click", () => { state = null; at("enter").reset(); go("start"); at("code").focus(); });
  for (const name of ["brightness", "contrast"]) at(name).addEventListener("input", display);
  for (const name of ["scaling", "invert"]) at(name).addEventListener("click", () => press(name));
  at("reset").addEventListener("click", reset);
  window.addEventListener("resize", fit);
  document.addEventListener("visibilitychange", () => {
    if (at("read").hidden || !state) return;
    if (document.hidden) { stopClock(); keep(); } else if (shownAt < Infinity) startClock();
  });
  window.addEventListener("pagehide", () => { if (state && !at("read").hidden) { stopClock(); keep(); } });
  window.addEventListener("pageshow", (event) => { if (event.persisted && state && !at("read").hidden) startClock(); });

  document.addEventListener("keydown", (event) => {
    if (at("read").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const number = "123456".indexOf(key) + 1;
    if (key === "r") choose("real");
    else if (key === "s") choose("synthetic");
    else if (key === "escape") choose(null);
    else if (chosen && number >= 1 && number <= 3) answer(chosen, number);
    else if (!chosen && number) answer(number <= 3 ? "real" : "synthetic", number <= 3 ? 4 - number : number - 3);
    else if (key === "x") press("scaling");
    else if (key === "i") press("invert");
    else if (key === "0") reset();
    else if (key === "p") pause();
    else return;
    event.preventDefault();
  });

  at("total").textContent = orderFor("").length;
  at("no-return").hidden = study.back;
  at("forgetful").hidden = store !== null;
  const last = store && store.getItem("ganvas-reading/" + study.study);
  if (last && recall(last) && !recall(last).finished) at("code").value = last; // a finished one may hand over to another
})();
</script>
</body>
</html>
"""
