// Can this run be trusted? Its evaluation in words and numbers, nearest pairs, report and model card.
import { address, every, get, post } from "../parts/api.js";
import { add, busy, fill, h, toast } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { link } from "../app.js";

const SAYS = {
  clear: ["good", "No sign that samples copy training records."],
  suspect: ["warn", "Some samples may be copies: look at the pairs."],
  copies: ["bad", "Samples are copies of training records."],
};

export async function show(page, { name }) {
  const body = h("div", { class: "stack" });
  add(page, [h("div", { class: "head" }, h("div", {}, h("h1", {}, `Can I trust ${name}?`), h("p", { class: "lead" }, "Samples against real records that training never saw, with the numbers of trivial ones beside them.")),
    h("div", { class: "row" }, h("a", { class: "button", href: link("run", { name }) }, "Its training"), h("a", { class: "button", href: link("use", { name }) }, "Use it"))), body]);
  let shape = "";
  async function refresh() {
    const found = await get("run", { name, after: 1e15 });
    const key = JSON.stringify([found.evaluation, found.has, found.jobs]);
    if (key === shape) return;
    shape = key;
    draw(found);
  }

  function order(what, words, kind, more) {
    const button = h("button", { type: "button", class: kind || "" }, words);
    button.addEventListener("click", () => busy(button, () => post("act", { run: name, what, ...more }).then(() => { toast("in the queue; it appears here when it is done"); return refresh(); })));
    return button;
  }

  // Where it is known what every record shows, findings that nobody asked for can be counted.
  function sought(found) {
    return found.findings ? order("evaluate", "Judge, and look for findings nobody asked for", "", { unintended: true }) : null;
  }

  function draw(found) {
    const judged = found.evaluation?.rows?.length, told = found.evaluation || {};
    const work = (found.jobs || []).filter((job) => job.does !== "train").slice(-2);
    const [kind, words] = SAYS[told.verdict] || ["", told.verdict ? `Verdict: ${told.verdict}` : ""];
    fill(body,
      work.map((job) => h("div", { class: job.state === "failed" ? "note bad" : "note" }, h("strong", {}, `${job.does}: ${job.state === "running" ? "working, some minutes" : job.state}`), job.state === "failed" ? h("div", {}, job.said) : null)),
      judged ? h("section", { class: "panel stack" },
        h("h2", {}, "Verdict"),
        words ? h("div", { class: `note ${kind}` }, h("strong", {}, words), told.reason ? h("div", {}, told.reason) : null) : null,
        told.unseen?.length ? h("details", {}, h("summary", {}, "What the audit could not see"), h("ul", {}, told.unseen.map((one) => h("li", {}, one)))) : null,
        h("p", { class: "soft tiny" }, `${told.samples} samples of round ${told.round ?? "?"} against ${told.heldout} held-out records; protocol ${told.protocol}`),
        h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["measure", "samples [95 %]", ...told.anchors, "better"].map((word) => h("th", { scope: "col" }, word)))),
          h("tbody", {}, told.rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), h("td", { class: "mono whole" }, row.value), row.anchors.map((value) => h("td", { class: "mono whole" }, value)), h("td", { class: "soft" }, row.blind ? "no telling here" : row.better)))))),
        told.copies.length ? h("details", {}, h("summary", {}, "Copies of training records, in numbers"), h("table", {}, h("thead", {}, h("tr", {}, ["measure", "samples", "unseen real records"].map((word) => h("th", { scope: "col" }, word)))),
          h("tbody", {}, told.copies.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), h("td", { class: "mono whole" }, row.value), h("td", { class: "mono whole" }, row.null)))))) : null,
        h("div", { class: "row" }, order("evaluate", "Judge again"), sought(found), found.has.report ? null : order("report", "Write the report")))
        : h("section", { class: "panel empty" }, h("h2", {}, "It was not judged yet"), h("p", {}, "Samples are drawn and compared with held-out records: how near, how varied, copied from whom? This takes some minutes."),
          found.has.weights ? h("div", { class: "row" }, order("evaluate", "Judge it", "main"), sought(found)) : h("p", {}, "It has no weights yet.")),
      found.has.audit ? frame(name, "evaluation/audit.html", "Nearest pairs", "Samples beside the training records nearest to them. Real records are in it: it stays on this machine.") : null,
      h("section", { class: "panel stack" }, h("div", { class: "row between" }, h("h2", {}, "Report"), order("report", found.has.report ? "Write it again" : "Write the report")),
        found.has.report ? embedded(name, "report.html", "Report") : h("p", { class: "soft" }, "One page to mail or to attach to a paper, without a real record in it.")),
      found.has.card ? card(name) : null,
      h("section", { class: "panel stack" }, h("h2", {}, "The same as commands"), command(`ganvas evaluate ${found.folder}`), command(`ganvas report ${found.folder}`)));
  }
  await refresh();
  every(2, page, refresh);
}

function frame(name, file, title, words) {
  return h("section", { class: "panel stack" }, h("h2", {}, title), h("p", { class: "soft" }, words), embedded(name, file, title));
}

function embedded(name, file, title) {
  const src = address("run-file", { name, file });
  return h("div", { class: "stack tight" }, h("iframe", { class: "frame", src, title, sandbox: "", loading: "lazy" }), h("a", { href: src, target: "_blank", rel: "noopener" }, "Open in a tab of its own"));
}

function card(name) {
  const text = h("pre", { class: "log", tabindex: 0, "aria-label": "Model card" }, "…");
  fetch(address("run-file", { name, file: "MODEL_CARD.md" })).then((answer) => answer.text()).then((found) => { text.textContent = found; });
  return h("details", { class: "panel" }, h("summary", {}, "Model card"), text);
}
